import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACE_UNSPECIFIED: _ClassVar[Pace]
    PACE_OFFLINE: _ClassVar[Pace]
    PACE_LIVE: _ClassVar[Pace]

class Output(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_UNSPECIFIED: _ClassVar[Output]
    OUTPUT_FRAGMENTED_MP4: _ClassVar[Output]
    OUTPUT_ELEMENTARY: _ClassVar[Output]
PACE_UNSPECIFIED: Pace
PACE_OFFLINE: Pace
PACE_LIVE: Pace
OUTPUT_UNSPECIFIED: Output
OUTPUT_FRAGMENTED_MP4: Output
OUTPUT_ELEMENTARY: Output

class RenderRequest(_message.Message):
    __slots__ = ("config", "audio", "flush", "end")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    config: RenderConfig
    audio: AudioChunk
    flush: Flush
    end: End
    def __init__(self, config: _Optional[_Union[RenderConfig, _Mapping]] = ..., audio: _Optional[_Union[AudioChunk, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ...) -> None: ...

class RenderConfig(_message.Message):
    __slots__ = ("avatar_id", "frame_rate", "batch_size", "pace", "output", "height", "audio_format", "lead_in_ms", "tail_ms", "latency_budget_ms", "allow_lower_frame_rate", "session")
    AVATAR_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    PACE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FORMAT_FIELD_NUMBER: _ClassVar[int]
    LEAD_IN_MS_FIELD_NUMBER: _ClassVar[int]
    TAIL_MS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LOWER_FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    avatar_id: str
    frame_rate: FrameRate
    batch_size: int
    pace: Pace
    output: Output
    height: int
    audio_format: AudioFormat
    lead_in_ms: int
    tail_ms: int
    latency_budget_ms: int
    allow_lower_frame_rate: bool
    session: str
    def __init__(self, avatar_id: _Optional[str] = ..., frame_rate: _Optional[_Union[FrameRate, _Mapping]] = ..., batch_size: _Optional[int] = ..., pace: _Optional[_Union[Pace, str]] = ..., output: _Optional[_Union[Output, str]] = ..., height: _Optional[int] = ..., audio_format: _Optional[_Union[AudioFormat, _Mapping]] = ..., lead_in_ms: _Optional[int] = ..., tail_ms: _Optional[int] = ..., latency_budget_ms: _Optional[int] = ..., allow_lower_frame_rate: _Optional[bool] = ..., session: _Optional[str] = ...) -> None: ...

class FrameRate(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class AudioFormat(_message.Message):
    __slots__ = ("sample_rate", "channels")
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    sample_rate: int
    channels: int
    def __init__(self, sample_rate: _Optional[int] = ..., channels: _Optional[int] = ...) -> None: ...

class AudioChunk(_message.Message):
    __slots__ = ("pcm",)
    PCM_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    def __init__(self, pcm: _Optional[bytes] = ...) -> None: ...

class Flush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class End(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RenderResponse(_message.Message):
    __slots__ = ("queued", "accepted", "progress", "video", "result")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    queued: Queued
    accepted: Accepted
    progress: Progress
    video: VideoChunk
    result: RenderResult
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., video: _Optional[_Union[VideoChunk, _Mapping]] = ..., result: _Optional[_Union[RenderResult, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("position", "eta")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    position: int
    eta: _duration_pb2.Duration
    def __init__(self, position: _Optional[int] = ..., eta: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("render_id", "engine", "avatar_id", "frame_rate", "batch_size", "width", "height")
    RENDER_ID_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    AVATAR_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    render_id: str
    engine: str
    avatar_id: str
    frame_rate: FrameRate
    batch_size: int
    width: int
    height: int
    def __init__(self, render_id: _Optional[str] = ..., engine: _Optional[str] = ..., avatar_id: _Optional[str] = ..., frame_rate: _Optional[_Union[FrameRate, _Mapping]] = ..., batch_size: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("frames_done", "frames_total")
    FRAMES_DONE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    frames_done: int
    frames_total: int
    def __init__(self, frames_done: _Optional[int] = ..., frames_total: _Optional[int] = ...) -> None: ...

class VideoChunk(_message.Message):
    __slots__ = ("kind", "sequence", "start_us", "duration_us", "starts_with_keyframe", "data")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[VideoChunk.Kind]
        KIND_INIT: _ClassVar[VideoChunk.Kind]
        KIND_FRAGMENT: _ClassVar[VideoChunk.Kind]
        KIND_VIDEO_UNIT: _ClassVar[VideoChunk.Kind]
        KIND_AUDIO_UNIT: _ClassVar[VideoChunk.Kind]
    KIND_UNSPECIFIED: VideoChunk.Kind
    KIND_INIT: VideoChunk.Kind
    KIND_FRAGMENT: VideoChunk.Kind
    KIND_VIDEO_UNIT: VideoChunk.Kind
    KIND_AUDIO_UNIT: VideoChunk.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    START_US_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    STARTS_WITH_KEYFRAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: VideoChunk.Kind
    sequence: int
    start_us: int
    duration_us: int
    starts_with_keyframe: bool
    data: bytes
    def __init__(self, kind: _Optional[_Union[VideoChunk.Kind, str]] = ..., sequence: _Optional[int] = ..., start_us: _Optional[int] = ..., duration_us: _Optional[int] = ..., starts_with_keyframe: _Optional[bool] = ..., data: _Optional[bytes] = ...) -> None: ...

class RenderResult(_message.Message):
    __slots__ = ("frames", "duration", "sha256", "bytes", "timings", "gpu_seconds", "notes", "audio_windows", "weights")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    frames: int
    duration: _duration_pb2.Duration
    sha256: str
    bytes: int
    timings: RenderTimings
    gpu_seconds: float
    notes: _containers.RepeatedScalarFieldContainer[str]
    audio_windows: str
    weights: _containers.ScalarMap[str, str]
    def __init__(self, frames: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., sha256: _Optional[str] = ..., bytes: _Optional[int] = ..., timings: _Optional[_Union[RenderTimings, _Mapping]] = ..., gpu_seconds: _Optional[float] = ..., notes: _Optional[_Iterable[str]] = ..., audio_windows: _Optional[str] = ..., weights: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RenderTimings(_message.Message):
    __slots__ = ("queued", "first_frame", "features", "engine", "encode", "total")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    queued: _duration_pb2.Duration
    first_frame: _duration_pb2.Duration
    features: _duration_pb2.Duration
    engine: _duration_pb2.Duration
    encode: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, queued: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_frame: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., features: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., engine: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., encode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PrepareAvatarRequest(_message.Message):
    __slots__ = ("config", "chunk")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    config: PrepareAvatarConfig
    chunk: bytes
    def __init__(self, config: _Optional[_Union[PrepareAvatarConfig, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class PrepareAvatarConfig(_message.Message):
    __slots__ = ("name", "face_box", "source_sha256", "face_index", "frame_rate", "side_max", "repaint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FACE_BOX_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    FACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    SIDE_MAX_FIELD_NUMBER: _ClassVar[int]
    REPAINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    face_box: FaceBox
    source_sha256: str
    face_index: int
    frame_rate: FrameRate
    side_max: int
    repaint: Repaint
    def __init__(self, name: _Optional[str] = ..., face_box: _Optional[_Union[FaceBox, _Mapping]] = ..., source_sha256: _Optional[str] = ..., face_index: _Optional[int] = ..., frame_rate: _Optional[_Union[FrameRate, _Mapping]] = ..., side_max: _Optional[int] = ..., repaint: _Optional[_Union[Repaint, _Mapping]] = ...) -> None: ...

class Repaint(_message.Message):
    __slots__ = ("landmarks", "keep_jitter", "mask", "cheek_left", "cheek_right", "margin", "shift", "keep_ends", "landmarks_width", "landmarks_height")
    class Mask(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MASK_UNSPECIFIED: _ClassVar[Repaint.Mask]
        MASK_LANDMARKS: _ClassVar[Repaint.Mask]
        MASK_JAW: _ClassVar[Repaint.Mask]
        MASK_RAW: _ClassVar[Repaint.Mask]
        MASK_NECK: _ClassVar[Repaint.Mask]
    MASK_UNSPECIFIED: Repaint.Mask
    MASK_LANDMARKS: Repaint.Mask
    MASK_JAW: Repaint.Mask
    MASK_RAW: Repaint.Mask
    MASK_NECK: Repaint.Mask
    LANDMARKS_FIELD_NUMBER: _ClassVar[int]
    KEEP_JITTER_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    CHEEK_LEFT_FIELD_NUMBER: _ClassVar[int]
    CHEEK_RIGHT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    KEEP_ENDS_FIELD_NUMBER: _ClassVar[int]
    LANDMARKS_WIDTH_FIELD_NUMBER: _ClassVar[int]
    LANDMARKS_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    landmarks: bytes
    keep_jitter: bool
    mask: Repaint.Mask
    cheek_left: int
    cheek_right: int
    margin: int
    shift: int
    keep_ends: bool
    landmarks_width: int
    landmarks_height: int
    def __init__(self, landmarks: _Optional[bytes] = ..., keep_jitter: _Optional[bool] = ..., mask: _Optional[_Union[Repaint.Mask, str]] = ..., cheek_left: _Optional[int] = ..., cheek_right: _Optional[int] = ..., margin: _Optional[int] = ..., shift: _Optional[int] = ..., keep_ends: _Optional[bool] = ..., landmarks_width: _Optional[int] = ..., landmarks_height: _Optional[int] = ...) -> None: ...

class FaceBox(_message.Message):
    __slots__ = ("x", "y", "width", "height")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    width: int
    height: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class PrepareAvatarResponse(_message.Message):
    __slots__ = ("progress", "result")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    progress: PrepareProgress
    result: PrepareAvatarResult
    def __init__(self, progress: _Optional[_Union[PrepareProgress, _Mapping]] = ..., result: _Optional[_Union[PrepareAvatarResult, _Mapping]] = ...) -> None: ...

class PrepareProgress(_message.Message):
    __slots__ = ("pictures_done", "pictures_total", "stage")
    PICTURES_DONE_FIELD_NUMBER: _ClassVar[int]
    PICTURES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    pictures_done: int
    pictures_total: int
    stage: str
    def __init__(self, pictures_done: _Optional[int] = ..., pictures_total: _Optional[int] = ..., stage: _Optional[str] = ...) -> None: ...

class PrepareAvatarResult(_message.Message):
    __slots__ = ("avatar_id", "width", "height", "pictures", "findings", "preview_png")
    AVATAR_ID_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_PNG_FIELD_NUMBER: _ClassVar[int]
    avatar_id: str
    width: int
    height: int
    pictures: int
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    preview_png: bytes
    def __init__(self, avatar_id: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., pictures: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., preview_png: _Optional[bytes] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("reason", "message", "first_picture", "last_picture")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIRST_PICTURE_FIELD_NUMBER: _ClassVar[int]
    LAST_PICTURE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    first_picture: int
    last_picture: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., first_picture: _Optional[int] = ..., last_picture: _Optional[int] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "engine", "max_batch", "active_renders", "queued_renders", "max_renders", "frames_per_second", "draining", "builtin_avatars", "notes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_RENDERS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_RENDERS_FIELD_NUMBER: _ClassVar[int]
    MAX_RENDERS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_AVATARS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    engine: str
    max_batch: int
    active_renders: int
    queued_renders: int
    max_renders: int
    frames_per_second: float
    draining: bool
    builtin_avatars: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., engine: _Optional[str] = ..., max_batch: _Optional[int] = ..., active_renders: _Optional[int] = ..., queued_renders: _Optional[int] = ..., max_renders: _Optional[int] = ..., frames_per_second: _Optional[float] = ..., draining: _Optional[bool] = ..., builtin_avatars: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
