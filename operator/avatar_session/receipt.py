"""What a session made and what it cost: `result.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from avatar_session.progress import StageTiming

_CAMEL = ConfigDict(alias_generator=to_camel, validate_by_name=True)


@dataclass(frozen=True, slots=True)
class VideoFile:
    """The published MP4.

    Attributes:
        key: in the store.
        bytes: size.
        sha256: 64 hexadecimal digits.
        seconds: length.
        frames: pictures.
        fps: frames per second, such as "15" or "30000/1001".
        width, height: pixels.
        expires_at: when clean-up may delete it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CAMEL
    key: str
    bytes: int
    sha256: str
    seconds: float
    frames: int
    fps: str
    width: int
    height: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used.

    Attributes:
        prompt_tokens, completion_tokens: of the LLM; 0 without one.
        tokens_estimated: the LLM's server told no numbers.
        characters: spoken.
        speech_seconds: of sound.
        gpu_seconds: of an accelerator; 0 on the CPU.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CAMEL
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: bool = False
    characters: int = 0
    speech_seconds: float = 0.0
    gpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one session.

    Attributes:
        name, namespace, uid, attempt: which session.
        reply: what is said; empty for `audio`.
        reply_cut: the token limit cut the reply; it ends at its last whole sentence.
        video: the file.
        usage: what was used.
        timings: of every stage that ran, by name.
        first_frame_seconds: from the start to the first fragment with a picture.
        total_seconds: from the start to the commit.
        engine: what drew, such as "preview".
        avatar: bundle that was drawn.
        render_id: in the inference server's logs and the video's metadata.
        notes: what a person must know, such as "drawn preview, not a trained face model".
        started_at, finished_at: when.
        audio_windows: how the engine places its windows of sound; empty where it has no choice.
        weights: SHA-256 of each file of weights that was used, by part.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CAMEL
    name: str
    namespace: str
    uid: str
    attempt: int
    reply: str
    reply_cut: bool
    video: VideoFile
    usage: Usage
    timings: dict[str, StageTiming]
    first_frame_seconds: float
    total_seconds: float
    engine: str
    avatar: str
    render_id: str
    notes: tuple[str, ...]
    started_at: datetime
    finished_at: datetime
    audio_windows: str = ""
    weights: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As UTF-8 JSON with camelCase names."""
        return _ADAPTER.dump_json(self, by_alias=True, indent=1)

    def to_dict(self, include: Any = None) -> dict[str, Any]:
        """The same as plain values; `include` as pydantic takes it, by attribute."""
        told: dict[str, Any] = _ADAPTER.dump_python(self, by_alias=True, mode="json", include=include)
        return told

    @classmethod
    def from_json(cls, data: bytes) -> Receipt:
        """Reads what `to_json` wrote. Raises ValueError for anything else."""
        return _ADAPTER.validate_json(data)


_ADAPTER = TypeAdapter(Receipt)
