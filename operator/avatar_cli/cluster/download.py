"""A video fetched into a file: what was fetched stays when the way breaks, and only what is right is kept."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

import httpx2

from avatar_cli.cluster.session import VIDEO_AVAILABLE, Session, failure, said
from avatar_cli.cluster.videos import Videos, refused
from avatar_core.errors import AvatarError, Reason, StoreError

VIDEO = "video.mp4"
_PIECE_BYTES = 256 * 1024
_TRIES, _PAUSE_SECONDS = 5, 0.5
_PASSING = {Reason.STORE_UNAVAILABLE, Reason.CLUSTER_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A video as its session's status tells of it: link, size in bytes, and hash of the file in hex."""

    link: str
    bytes: int
    sha256: str


def wanted_of(session: Session) -> Wanted:
    """The video of a session that is over.

    Raises:
        AvatarError: there is none: the session's own reason, or VIDEO_EXPIRED.
    """
    video, available = session.status.video, session.condition(VIDEO_AVAILABLE)
    if not session.outcome:
        raise failure(session)
    if available is not None and available.status == "False":
        raise AvatarError(Reason.VIDEO_EXPIRED, f"the video is gone: {said(available)}")
    if video is None or not video.url or not video.sha256 or video.bytes is None:
        raise AvatarError(Reason.NOT_POSSIBLE, "the session's status names no video")
    return Wanted(video.url, video.bytes, video.sha256)


def part_of(file: Path, wanted: Wanted) -> Path:
    """Where the part of a file is that has come so far; of another video it is another one."""
    return file.with_name(f".{file.name}.{wanted.sha256[:16]}.part")


async def download(
    videos: Videos, wanted: Wanted, file: Path, tell: Callable[[int], None], *, force: bool
) -> None:
    """Fetches a video, going on where an earlier call was cut off.

    Args:
        file: is there afterwards, whole, or not at all.
        tell: how many bytes there are; called as they come.
        force: a file of that name is replaced.

    Raises:
        AvatarError: NOT_POSSIBLE, the file exists or there is no such video; STORE_UNAVAILABLE, the way is
            broken or what came is not the video; DISK_FULL, the file can't be written.
    """
    part = part_of(file, wanted)
    try:
        with _own(part) as stream:
            await _insist(videos, wanted, stream, tell)
            if _digest(stream) != wanted.sha256:
                part.unlink()
                raise StoreError(Reason.STORE_UNAVAILABLE, _WRONG)
            refuse_existing(file, force=force)
            part.replace(file)
    except OSError as error:
        raise AvatarError(Reason.DISK_FULL, f"{error.filename or file}: {error.strerror or error}") from None


_WRONG = "what came is not the video: its hash is another one; it was deleted, fetch it again"


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raises NOT_POSSIBLE when there is a file that must not be replaced."""
    if file.is_dir():
        raise AvatarError(Reason.NOT_POSSIBLE, f"{file} is a folder; name a file with -o")
    if file.exists() and not force:
        raise AvatarError(Reason.NOT_POSSIBLE, f"{file} is there already; --force replaces it")


@contextmanager
def _own(part: Path) -> Iterator[BufferedRandom]:
    """The part, open for this process alone."""
    # Its name can be guessed; where others may write, a link of theirs must not be followed.
    number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(number, "r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another download into this file is under way ({part.name})"
            raise AvatarError(Reason.NOT_POSSIBLE, message) from None
        yield stream


async def _insist(
    videos: Videos, wanted: Wanted, stream: BufferedRandom, tell: Callable[[int], None]
) -> None:
    """Until all is there; a try that brought something does not count as failed."""
    failed = 0
    while (had := stream.seek(0, os.SEEK_END)) != wanted.bytes:
        try:
            await _go_on(videos, wanted, stream, tell)
            failed = 0 if stream.tell() > had else failed + 1
        except AvatarError as error:
            failed = 0 if stream.tell() > had else failed + 1
            if error.reason not in _PASSING or failed >= _TRIES:
                raise
            await asyncio.sleep(_PAUSE_SECONDS * 2**failed)
        if failed >= _TRIES:
            raise StoreError(Reason.STORE_UNAVAILABLE, f"only {had} of {wanted.bytes} bytes come")
    tell(wanted.bytes)


async def _go_on(videos: Videos, wanted: Wanted, stream: BufferedRandom, tell: Callable[[int], None]) -> None:
    """One request for what is missing."""
    at = stream.seek(0, os.SEEK_END)
    if at > wanted.bytes:
        at = stream.truncate(0)
    tell(at)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={at}-"} if at else {})}
    async with videos.open(wanted.link, VIDEO, headers=headers) as answer:
        if answer.status_code >= 300:
            raise refused(wanted.link, answer.status_code, await _start_of(answer))
        sent = answer.headers.get("Content-Range", "") if answer.status_code == 206 else ""
        if not sent.startswith(f"bytes {at}-"):
            at = stream.truncate(0)
            tell(at)
        stream.seek(at)
        async for piece in _at_most(answer, wanted.bytes - at):
            stream.write(piece)
            tell(stream.tell())
        stream.flush()


async def _at_most(answer: httpx2.Response, left: int) -> AsyncIterator[bytes]:
    """The body, and not a byte more than there should be."""
    async for piece in answer.aiter_bytes(_PIECE_BYTES):
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


async def _start_of(answer: httpx2.Response) -> bytes:
    """The beginning of a refusal, which may be a page of any size."""
    found = b""
    async for piece in answer.aiter_bytes():
        found += piece
        if len(found) > 4096:
            break
    return found[:4096]


def _digest(stream: BufferedRandom) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()
