"""An avatar's source is fetched, and the inference server makes a bundle of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avatar_core import limits
from avatar_core.addresses import AddressRules
from avatar_core.errors import AvatarError, InferenceError, InvalidInputError, Reason
from avatar_core.fetching import Fetching, fetch
from avatar_core.resources import AvatarSpec, Place
from avatar_inference.client import Prepared, RepaintOptions
from avatar_inference.replicas import Replicas
from avatar_session.pod import MESSAGE_BYTES, PodFiles, encoded
from avatar_session.retry import Deadline, RetryPolicy

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
ADDRESS_VARIABLE = "AVATAR_INFERENCE_ADDRESS"
SOURCE_FIELD = "spec.source.url"
FINDINGS_MAX = 32
FINDING_CHARACTERS = 160
"""Of a finding's message, where there are so many that not all fit."""


class _Assignment(BaseModel):
    """Fields that a newer operator adds are passed over."""

    model_config = ConfigDict(extra="ignore")
    name: str
    namespace: str
    spec: AvatarSpec
    fetch: dict[str, list[str]] = {}
    timeout_seconds: Annotated[float, Field(gt=0, alias="timeoutSeconds")] = 600


async def prepare_avatar(files: PodFiles, environment: Mapping[str, str]) -> dict[str, Any]:
    """Does what the pod is for.

    Returns:
        The termination message, which fits.

    Raises:
        AvatarError: typed; PREPARATION_TIMEOUT when it took too long.
    """
    told, address = _read(files.read()), environment.get(ADDRESS_VARIABLE)
    if not address:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"the variable {ADDRESS_VARIABLE} is not set")
    log.info("preparing %s/%s", told.namespace, told.name)
    replicas = Replicas(address, token=lambda: files.token("inference"))
    try:
        async with asyncio.timeout(told.timeout_seconds) as limit:
            prepared, engine = await _prepare(told, replicas)
    except TimeoutError:
        if not limit.expired():
            raise
        message = f"not prepared after {told.timeout_seconds:g} s"
        raise AvatarError(Reason.PREPARATION_TIMEOUT, message) from None
    for finding in prepared.findings:
        log.info("%s: %s", finding.reason, finding.message)
    return last_words(prepared, engine)


def last_words(prepared: Prepared, engine: str) -> dict[str, Any]:
    """What a termination message has room for; findings that are left out are counted in the last one."""
    for kept in range(min(len(prepared.findings), FINDINGS_MAX), -1, -1):
        words = _words(prepared, engine, kept)
        if len(encoded(words)) <= MESSAGE_BYTES:
            return words
    raise AssertionError


async def _prepare(told: _Assignment, replicas: Replicas) -> tuple[Prepared, str]:
    """The bundle, and the engine that made it."""
    spec = told.spec
    assert spec.source.url is not None
    with TemporaryDirectory(prefix="avatar-", ignore_cleanup_errors=True) as folder:
        source = Path(folder) / "source"
        fetched = await fetch(
            spec.source.url,
            source,
            Fetching(rules=AddressRules.read(told.fetch), seconds=limits.FETCH_SECONDS),
            limit_bytes=limits.MAX_SOURCE_BYTES,
            sha256=spec.source.sha256,
            field=SOURCE_FIELD,
        )
        log.info("%d bytes of source are here", fetched.bytes)
        policy, deadline = RetryPolicy(), Deadline.after(told.timeout_seconds)
        for tried in count(1):
            try:
                return await _drawn(told, source, replicas)
            except AvatarError as error:
                pause = policy.pause(tried, error, deadline.remaining())
                if pause is None:
                    raise
                log.warning("%s; trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
    raise AssertionError


async def _drawn(told: _Assignment, source: Path, replicas: Replicas) -> tuple[Prepared, str]:
    """One try of one server."""
    async with replicas.connect() as client:
        engine = (await client.info()).engine
        async for event in client.prepare(_pieces(source), name=told.name, **_options(told.spec)):
            if isinstance(event, Prepared):
                return event, engine
            log.debug("%s: %d of %d", event.stage, event.done, event.total or 0)
    raise InferenceError(Reason.INFERENCE_UNAVAILABLE, f"{client.target} ended without a result")


def _options(spec: AvatarSpec) -> dict[str, Any]:
    """A spec as the server takes it."""
    box, repaint, motion = spec.face.box, spec.repaint, spec.motion
    return {
        "face_box": (box.left, box.top, box.width, box.height) if box else None,
        "face_index": spec.face.index or 0,
        "fps": Fraction(motion.fps) if motion.fps else None,
        "side_max": motion.side_max,
        "repaint": RepaintOptions(
            smooth=not repaint.keep_jitter,
            mask=repaint.mask,
            cheeks=(repaint.cheeks.left, repaint.cheeks.right),
            margin=repaint.margin,
            shift=repaint.shift,
            still_ends=not motion.keep_ends,
        ),
    }


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
            yield piece


def _read(document: Mapping[str, Any]) -> _Assignment:
    try:
        return _Assignment.model_validate(document, by_alias=True, extra="ignore", context=Place.CLUSTER)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(Reason.INVALID_SPEC, first["msg"], field=field) from None


def _words(prepared: Prepared, engine: str, kept: int) -> dict[str, Any]:
    whole = kept == len(prepared.findings)
    findings = [
        {
            "reason": finding.reason,
            "message": finding.message if whole else _short(finding.message),
            "firstPicture": finding.first_picture,
            "lastPicture": finding.last_picture,
        }
        for finding in prepared.findings[: kept if whole else max(0, kept - 1)]
    ]
    if not whole:
        left = len(prepared.findings) - len(findings)
        message = f"{left} more findings are in the log of the pod"
        findings.append({"reason": "MoreFindings", "message": message, "firstPicture": 0, "lastPicture": 0})
    facts = {"pictures": prepared.pictures, "width": prepared.width, "height": prepared.height}
    return {"avatar": {"bundle": prepared.avatar, **facts, "engine": engine, "findings": findings}}


def _short(text: str) -> str:
    return text if len(text) <= FINDING_CHARACTERS else f"{text[: FINDING_CHARACTERS - 1]}…"
