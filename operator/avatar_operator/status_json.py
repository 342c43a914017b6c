"""The status of a session as the custom resource holds it, there and back; the same values give no change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from avatar_core.resources import Condition as StoredCondition
from avatar_core.resources import SessionStatus, StageProgress, StageTiming, VideoStatus
from avatar_core.resources import Timings as StoredTimings
from avatar_operator.status import (
    Condition,
    Made,
    Progress,
    StageTime,
    Status,
    Timings,
    Usage,
    Video,
    VideoFile,
)

Json = dict[str, Any]
STAGES = ("llm", "speech", "render", "publish")


def to_json(status: Status) -> Json:
    """A status as `status` of an AvatarSession; what is not known stays away."""
    made, progress = status.made, status.progress
    return without_nothing(
        {
            "phase": status.phase,
            "conditions": [condition_json(condition) for condition in status.conditions],
            "observedGeneration": status.observed_generation,
            "stage": status.stage,
            "progress": progress
            and without_nothing(
                {
                    "done": progress.done,
                    "total": progress.total,
                    "percent": progress.percent,
                    "note": progress.note,
                }
            ),
            "queuePosition": status.queue_position,
            "attempt": status.attempt or None,
            "avatar": status.avatar,
            "jobName": status.job_name,
            "lostAttempts": status.lost_attempts or None,
            "observedRetry": status.observed_retry or None,
            "waitingSince": _time(status.waiting_since),
            "startedAt": _time(status.started_at),
            "completedAt": _time(status.completed_at),
            "video": status.video and _video(status.video),
            "timings": status.timings and _timings(status.timings),
            **(_made(made) if made is not None else {}),
        }
    )


def from_stored(stored: SessionStatus) -> Status:
    """A status as it was read."""
    return Status(
        phase=stored.phase or "",
        conditions=tuple(map(stored_condition, stored.conditions)),
        observed_generation=stored.observed_generation or 0,
        stage=stored.stage or "",
        progress=_stored_progress(stored.progress),
        queue_position=stored.queue_position,
        attempt=stored.attempt or 0,
        avatar="" if stored.usage else stored.avatar or "",
        job_name=stored.job_name or "",
        lost_attempts=stored.lost_attempts or 0,
        observed_retry=stored.observed_retry or 0,
        waiting_since=_seconds(stored.waiting_since),
        started_at=_seconds(stored.started_at),
        completed_at=_seconds(stored.completed_at),
        video=_stored_video(stored.video),
        timings=_stored_timings(stored.timings),
        made=_stored_made(stored),
    )


def stored_condition(stored: StoredCondition) -> Condition:
    """A condition as it was read."""
    return Condition(
        stored.type,
        stored.status,
        stored.reason,
        stored.message,
        int(stored.last_transition_time.timestamp()),
        stored.observed_generation or 0,
    )


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """The JSON merge patch (RFC 7386) that makes `after` of `before`; empty when they are equal."""
    patch: Json = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if changed := merge_patch(old, value):
                patch[key] = changed
        elif key not in before or old != value:
            patch[key] = value
    return patch


def rfc3339(seconds: float) -> str:
    """Unix seconds as Kubernetes writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_json(condition: Condition) -> Json:
    """A condition as it is written."""
    return {
        "type": condition.type,
        "status": condition.truth,
        "reason": str(condition.reason),
        "message": condition.message,
        "lastTransitionTime": rfc3339(condition.since),
        "observedGeneration": condition.generation,
    }


def _video(video: Video) -> Json:
    file = video.file
    facts: Json = (
        {}
        if file is None
        else {
            "bytes": file.bytes,
            "sha256": file.sha256,
            "seconds": file.seconds,
            "frames": file.frames,
            "fps": file.fps,
            "width": file.width or None,
            "height": file.height or None,
        }
    )
    return without_nothing({"url": video.url, "expiresAt": _time(video.expires_at), **facts})


def _timings(timings: Timings) -> Json:
    return without_nothing(
        {
            "queueSeconds": timings.queue_seconds,
            "startSeconds": timings.start_seconds,
            "firstFrameSeconds": timings.first_frame_seconds,
            "totalSeconds": timings.total_seconds,
            **{
                time.stage: {"begin": time.begin, "first": time.first, "end": time.end}
                for time in timings.stages
            },
        }
    )


def _made(made: Made) -> Json:
    usage = made.usage
    return {
        "reply": made.reply,
        "replyCut": made.reply_cut or None,
        "usage": {
            "promptTokens": usage.prompt_tokens,
            "completionTokens": usage.completion_tokens,
            "tokensEstimated": usage.tokens_estimated,
            "characters": usage.characters,
            "speechSeconds": usage.speech_seconds,
            "gpuSeconds": usage.gpu_seconds,
        },
        "engine": made.engine,
        "avatar": made.avatar,
        "renderId": made.render_id,
        "notes": list(made.notes),
    }


def _stored_progress(stored: StageProgress | None) -> Progress | None:
    if stored is None:
        return None
    return Progress(stored.done, stored.total, stored.percent, stored.note)


def _stored_video(stored: VideoStatus | None) -> Video | None:
    if stored is None:
        return None
    file = None
    if stored.bytes is not None:
        file = VideoFile(
            stored.bytes,
            stored.sha256 or "",
            stored.seconds or 0,
            stored.frames or 0,
            stored.fps or "",
            stored.width or 0,
            stored.height or 0,
        )
    return Video(stored.url, _seconds(stored.expires_at) or 0, file)


def _stored_timings(stored: StoredTimings | None) -> Timings | None:
    if stored is None:
        return None
    found: dict[str, StageTiming | None] = {stage: getattr(stored, stage) for stage in STAGES}
    return Timings(
        stored.queue_seconds,
        stored.start_seconds,
        stored.first_frame_seconds,
        stored.total_seconds,
        tuple(StageTime(stage, time.begin, time.first, time.end) for stage, time in found.items() if time),
    )


def _stored_made(stored: SessionStatus) -> Made | None:
    usage = stored.usage
    if usage is None:
        return None
    return Made(
        stored.reply or "",
        stored.reply_cut,
        Usage(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.tokens_estimated,
            usage.characters,
            usage.speech_seconds,
            usage.gpu_seconds,
        ),
        stored.engine or "",
        stored.avatar or "",
        stored.render_id or "",
        stored.notes,
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


def without_nothing(document: Mapping[str, Any]) -> Json:
    """The fields that hold something."""
    return {key: value for key, value in document.items() if value is not None and value not in ("", [])}
