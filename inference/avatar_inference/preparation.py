"""PrepareAvatar: takes a file in, has the engine make a bundle, stores it. One at a time."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path

from avatar_core import limits
from avatar_core.errors import InferenceError, InvalidInputError, Reason
from avatar_inference.bundle_store import BundleStore
from avatar_inference.engine import Engine, Finding, Prepared, PrepareOptions
from avatar_inference.repaint import repaint_options
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

TELL_EVERY_SECONDS = 0.5

Requests = AsyncIterator[pb.PrepareAvatarRequest]
Write = Callable[[pb.PrepareAvatarResponse], Awaitable[None]]


class Preparation:
    """Makes bundles.

    Args:
        engine: prepares.
        store: keeps.
    """

    def __init__(self, engine: Engine, store: BundleStore) -> None:
        self._engine = engine
        self._store = store
        self._one_at_a_time = asyncio.Lock()
        self._stage = ("waiting", 0, 0)

    async def run(self, requests: Requests, write: Write) -> None:
        """One call of PrepareAvatar, from its requests to its last response.

        Raises:
            InvalidInputError: the config or the source is not acceptable.
        """
        with tempfile.TemporaryDirectory(prefix="avatar-prepare-") as folder:
            source = Path(folder) / "source"
            config = await _receive(requests, source)
            async with self._one_at_a_time:
                stop = threading.Event()
                work = asyncio.create_task(asyncio.to_thread(self._prepare, source, _options(config), stop))
                try:
                    while not work.done():
                        await asyncio.wait([work], timeout=TELL_EVERY_SECONDS)
                        stage, done, total = self._stage
                        told = pb.PrepareProgress(stage=stage, pictures_done=done, pictures_total=total)
                        await write(pb.PrepareAvatarResponse(progress=told))
                finally:
                    # No thread can be cancelled: it ends at its next picture; its folder must outlive it.
                    stop.set()
                    work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                    await asyncio.wait([work])
            identity, prepared = work.result()
        await write(pb.PrepareAvatarResponse(result=_result(identity, prepared)))

    def _prepare(self, source: Path, options: PrepareOptions, stop: threading.Event) -> tuple[str, Prepared]:
        def tell(stage: str, done: int, total: int) -> None:
            if stop.is_set():  # on a CPU a clip takes many minutes, and nobody waits for it any more
                raise InferenceError(Reason.CANCELLED, "the client went away")
            self._stage = (stage, done, total)

        tell("reading", 0, 0)
        prepared = self._engine.prepare(source, options, tell)
        tell("storing", 0, 0)
        return self._store.put(prepared.bundle), prepared


async def _receive(requests: Requests, target: Path) -> pb.PrepareAvatarConfig:
    """Spools the source into a file; checks size and hash."""
    config: pb.PrepareAvatarConfig | None = None
    size, digest = 0, hashlib.sha256()
    with target.open("wb") as file:
        async for request in requests:
            kind = request.WhichOneof("request")
            if (kind == "config") is not (config is None):
                message = "send `config` exactly once, as the first message"
                raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config")
            if kind == "config":
                config = request.config
                continue
            size += len(request.chunk)
            if len(request.chunk) > limits.MAX_SOURCE_CHUNK_BYTES or size > limits.MAX_SOURCE_BYTES:
                message = (
                    f"too large; at most {limits.MAX_SOURCE_CHUNK_BYTES} bytes a message "
                    f"and {limits.MAX_SOURCE_BYTES} bytes in all"
                )
                raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="chunk")
            digest.update(request.chunk)
            file.write(request.chunk)
    if config is None or size == 0:
        message = "no source was sent; send `config`, then the file in `chunk` messages"
        raise InvalidInputError(Reason.INVALID_PICTURE, message, field="chunk")
    if config.source_sha256 and config.source_sha256 != digest.hexdigest():
        message = f"the source's SHA-256 is {digest.hexdigest()}, not the one announced; send it again"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.source_sha256")
    return config


def _options(config: pb.PrepareAvatarConfig) -> PrepareOptions:
    if len(config.name) > 253:
        message = "must be at most 253 characters"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.name")
    if config.face_index > 16:
        message = "must be 1 to 16, or 0 to refuse several faces"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.face_index")
    box = config.face_box
    return PrepareOptions(
        name=config.name or "avatar",
        face_box=(box.x, box.y, box.width, box.height) if config.HasField("face_box") else None,
        face_index=config.face_index,
        fps=_fps(config),
        side_max=_side_max(config.side_max),
        repaint=repaint_options(config.repaint),
    )


def _fps(config: pb.PrepareAvatarConfig) -> Fraction | None:
    if not config.HasField("frame_rate"):
        return None
    rate = config.frame_rate
    low, high = limits.MOTION_FPS_MIN, limits.MOTION_FPS_MAX
    if rate.denominator == 0 or not low <= Fraction(rate.numerator, rate.denominator) <= high:
        message = f"{rate.numerator}/{rate.denominator} must be {low} to {high} pictures per second"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.frame_rate")
    return Fraction(rate.numerator, rate.denominator)


def _side_max(pixels: int) -> int:
    low, high = limits.PICTURE_SIDE_LOW, limits.PICTURE_SIDE_HIGH
    if pixels and not low <= pixels <= high:
        message = f"is {pixels}; must be {low} to {high} pixels, or 0 for {limits.PICTURE_SIDE_MAX}"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.side_max")
    return pixels or limits.PICTURE_SIDE_MAX


def _result(identity: str, prepared: Prepared) -> pb.PrepareAvatarResult:
    bundle = prepared.bundle
    return pb.PrepareAvatarResult(
        avatar_id=identity,
        width=bundle.width,
        height=bundle.height,
        pictures=len(bundle.pictures),
        findings=[_finding(finding) for finding in prepared.findings],
        preview_png=prepared.preview_png,
    )


def _finding(finding: Finding) -> pb.Finding:
    return pb.Finding(
        reason=finding.reason,
        message=finding.message,
        first_picture=finding.first_picture,
        last_picture=finding.last_picture,
    )
