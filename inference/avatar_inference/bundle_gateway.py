"""Bundles that all servers share: kept by the gateway, which knows them by their ids."""

from __future__ import annotations

import errno
import json
import random
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

import httpx2

from avatar_core.errors import AvatarError, InferenceError, InvalidInputError, Reason, StoreError
from avatar_inference.bundle_io import MANIFEST_FILE
from avatar_inference.bundle_manifest import (
    ARRAYS_FILE,
    MAX_ARRAYS_BYTES,
    MAX_MANIFEST_BYTES,
    PICTURES_FILE,
    FileEntry,
    bundle_id,
    decode_manifest,
    invalid,
)

TRIES = 8
"""With the pauses 8 to 16 seconds; who asked may ask again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
_BLOCK_BYTES = 1024 * 1024
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_REASONS = {
    401: Reason.STORE_DENIED,
    403: Reason.STORE_DENIED,
    404: Reason.STORE_DENIED,
    413: Reason.STORE_DENIED,
    507: Reason.STORE_FULL,
}
T = TypeVar("T")
MakeRoom = Callable[[int], None]
"""Told how many bytes are about to be written."""


@dataclass(frozen=True, slots=True)
class SharedBundles:
    """A gateway's URL, and the file of the token for it, which is renewed now and then."""

    gateway: str
    token_file: Path


class GatewayBundles:
    """The bundles behind a gateway. Safe to use from any thread; what fails for a while is tried again.

    Args:
        url: of the gateway.
        token: asked before every request.
        tries: of each request, in all.
    """

    def __init__(self, url: str, token: Callable[[], str], tries: int = TRIES) -> None:
        self._token, self._tries = token, tries
        parts = urlsplit(url)
        self._where = f"the gateway at {parts.hostname}:{parts.port or parts.scheme}"
        # A proxy that the environment names must not see tokens of this cluster.
        self._client = httpx2.Client(
            base_url=f"{url.rstrip('/')}/v1/bundles/", timeout=_TIMEOUT, trust_env=False
        )

    @classmethod
    def of(cls, shared: SharedBundles) -> Self:
        """As settings say.

        Raises:
            InvalidInputError: the URL is none.
        """
        if urlsplit(shared.gateway).scheme not in {"http", "https"}:
            message = f"{shared.gateway!r} is no http:// or https:// address"
            raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="bundle_gateway")
        return cls(shared.gateway, lambda: _token(shared.token_file))

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def fetch(self, bundle: str, folder: Path, make_room: MakeRoom) -> None:
        """Fills a folder with a bundle's files, each held against its hash, the manifest last.

        Raises:
            InvalidInputError: AvatarNotFound, or AvatarInvalid when a file is not what its hash says.
            StoreError: refused, or not reached.
            InferenceError: DiskFull.
        """
        try:
            data = self._again(lambda: self._read(bundle, MANIFEST_FILE))
            if bundle_id(data) != bundle:
                raise invalid(f"{self._where} has {bundle_id(data)} in the place of {bundle}")
            files = decode_manifest(data).files
            if files.arrays.bytes > MAX_ARRAYS_BYTES:
                raise invalid(f"the bundle's arrays are larger than {MAX_ARRAYS_BYTES} bytes")
            make_room(len(data) + files.pictures.bytes + files.arrays.bytes)
            self._download(bundle, folder / PICTURES_FILE, files.pictures)
            self._download(bundle, folder / ARRAYS_FILE, files.arrays)
            (folder / MANIFEST_FILE).write_bytes(data)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise InferenceError(Reason.DISK_FULL, f"no room in {folder.parent} for {bundle}") from None

    def put(self, bundle: str, folder: Path) -> None:
        """Stores a bundle, whole when its manifest is there.

        Of one that is there already the manifest alone is sent, which makes it young again: nobody may name
        it any more, and what nobody names is deleted when it is old.

        Raises:
            StoreError: refused, or not reached.
        """
        there = self._again(lambda: self._has(bundle))
        data = (folder / MANIFEST_FILE).read_bytes()
        files = decode_manifest(data).files
        for name, digest in (
            (PICTURES_FILE, files.pictures.sha256),
            (ARRAYS_FILE, files.arrays.sha256),
            (MANIFEST_FILE, sha256(data).hexdigest()),
        ):
            if name == MANIFEST_FILE or not there:
                self._upload(bundle, folder / name, digest)

    def _has(self, bundle: str) -> bool:
        with self._asked("HEAD", bundle, MANIFEST_FILE, missing=True) as answer:
            return answer.status_code != 404

    def _read(self, bundle: str, name: str) -> bytes:
        data = b""
        with self._asked("GET", bundle, name) as answer:
            for block in answer.iter_bytes(_BLOCK_BYTES):
                data += block
                if len(data) > MAX_MANIFEST_BYTES:
                    raise invalid(f"the bundle's manifest is larger than {MAX_MANIFEST_BYTES} bytes")
        return data

    def _download(self, bundle: str, target: Path, entry: FileEntry) -> None:
        def once() -> None:
            digest, size = sha256(), 0
            with self._asked("GET", bundle, target.name) as answer, target.open("wb") as file:
                for block in answer.iter_bytes(_BLOCK_BYTES):
                    size += len(block)
                    if size > entry.bytes:
                        break
                    digest.update(block)
                    file.write(block)
            if size != entry.bytes or digest.hexdigest() != entry.sha256:
                raise invalid(f"{target.name} of {bundle} is not what its manifest says at {self._where}")

        self._again(once)

    def _upload(self, bundle: str, source: Path, digest: str) -> None:
        headers = {"Content-Digest": f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:"}

        def once() -> None:
            with source.open("rb") as file, self._asked("PUT", bundle, source.name, headers, _blocks(file)):
                return

        headers["Content-Length"] = str(source.stat().st_size)
        self._again(once)

    def _again(self, work: Callable[[], T]) -> T:
        for tried in count(1):
            try:
                return work()
            except StoreError as error:
                if not error.info.retry or tried >= self._tries:
                    raise
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tried - 1)) * random.uniform(0.5, 1)  # noqa: S311
                time.sleep(pause if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE))
        raise AssertionError

    @contextmanager
    def _asked(
        self,
        method: str,
        bundle: str,
        name: str,
        headers: dict[str, str] | None = None,
        content: Iterator[bytes] | None = None,
        *,
        missing: bool = False,
    ) -> Iterator[httpx2.Response]:
        """One request; refusals are raised, but for 404 where `missing` is no error."""
        sent = {"Authorization": f"Bearer {self._token() or 'none'}", **(headers or {})}
        path = f"{bundle.removeprefix('sha256:')}/{name}"
        try:
            with self._client.stream(method, path, headers=sent, content=content) as answer:
                if answer.status_code >= 400 and not (missing and answer.status_code == 404):
                    raise self._refusal(method, bundle, name, answer)
                yield answer
        except httpx2.HTTPError as error:
            detail = f"{type(error).__name__} {error}".strip()
            raise StoreError(Reason.STORE_UNAVAILABLE, f"{self._where} can't be reached: {detail}") from None

    def _refusal(self, method: str, bundle: str, name: str, answer: httpx2.Response) -> AvatarError:
        status, message = answer.status_code, ""
        if status == 404 and method == "GET":
            text = f"there is no avatar {bundle}, neither here nor at {self._where}"
            return InvalidInputError(Reason.AVATAR_NOT_FOUND, text, field="config.avatar_id")
        reason = _REASONS.get(status, Reason.STORE_UNAVAILABLE)
        with suppress(ValueError, TypeError, KeyError):  # an error page of something in between
            message = str(json.loads(answer.read())["error"])[:500]
        wait = answer.headers.get("Retry-After", "")
        text = f"{self._where} answered {status} for {name} of {bundle}: {message}"
        return StoreError(reason, text, retry_after=float(wait) if wait.isdecimal() else None)


def _token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        message = f"the token for the gateway can't be read: {file}: {error.strerror}"
        raise StoreError(Reason.STORE_UNAVAILABLE, message) from None


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block
