"""What session pods report: progress and results. Bounded, and read without trust."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import REPLY_CHARACTERS_MAX
from avatar_operator.status import Made, Progress, Result, StageTime, Usage, VideoFile

Stage = Literal["llm", "speech", "render", "publish"]


def writable(text: str, length: int) -> str:
    """At most `length` characters of a text that the API server stores as it is.

    Of half a surrogate pair it would make another character: the status would differ from what was written,
    and would be written again and again.
    """
    return text[:length].encode(errors="replace").decode()


def _shortened(length: int) -> BeforeValidator:
    """A wrong text loses its end or a character: a finished video is never given up for it."""
    return BeforeValidator(lambda text: writable(text, length) if isinstance(text, str) else text)


Word = Annotated[str, _shortened(253)]
Sentence = Annotated[str, _shortened(1024)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class _Posted(BaseModel):
    """Fields that a newer pod sends are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore", validate_by_name=True)


class _Progress(_Posted):
    stage: Stage
    done: Amount = 0
    total: Amount | None = None
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    note: Sentence = ""


class _Video(_Posted):
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    seconds: Amount
    frames: Count
    fps: Annotated[str, Field(max_length=32)] = ""
    width: Count = 0
    height: Count = 0


class _Usage(_Posted):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    tokens_estimated: bool = False
    characters: Count = 0
    speech_seconds: Amount = 0
    gpu_seconds: Amount = 0


class _Timing(_Posted):
    begin: Amount
    first: Amount
    end: Amount


class _Receipt(_Posted):
    uid: Annotated[str, Field(max_length=253)]
    video: _Video
    reply: Annotated[str, _shortened(REPLY_CHARACTERS_MAX)] = ""
    reply_cut: bool = False
    usage: _Usage = _Usage()
    timings: dict[Stage, _Timing] = {}
    first_frame_seconds: Amount | None = None
    total_seconds: Amount | None = None
    engine: Word = ""
    avatar: Annotated[str, Field(max_length=71)] = ""
    render_id: Word = ""
    notes: tuple[Sentence, ...] = ()


Model = TypeVar("Model", bound=_Posted)
_NOTES_MAX = 16


def read_progress(document: Any) -> tuple[str, Progress]:
    """A stage and how far it is.

    Raises:
        InvalidInputError: it is none.
    """
    found = _validated(_Progress, document)
    return found.stage, Progress(found.done, found.total, found.percent, found.note)


def read_result(document: Any) -> Result:
    """What a session made, as its receipt `result.json` tells.

    Raises:
        InvalidInputError: it is none.
    """
    found = _validated(_Receipt, document)
    made = Made(
        found.reply,
        found.reply_cut,
        Usage(**found.usage.model_dump()),
        found.engine,
        found.avatar if found.avatar.startswith("sha256:") else "",
        found.render_id,
        found.notes[:_NOTES_MAX],
    )
    stages = tuple(
        StageTime(stage, found.timings[stage].begin, found.timings[stage].first, found.timings[stage].end)
        for stage in Stage.__args__  # type: ignore[attr-defined]
        if stage in found.timings
    )
    file = VideoFile(**found.video.model_dump())
    return Result(file, made, found.first_frame_seconds, found.total_seconds, stages)


def _validated(model: type[Model], document: Any) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or None
        raise InvalidInputError(Reason.INVALID_ARGUMENT, first["msg"], field=field) from None
