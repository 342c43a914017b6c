"""The door for inference servers: prepared avatars, by the hash of their manifest, below `/v1/bundles/`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Collection

from aiohttp import web

from avatar_core.cluster.tokens import CallerError, Tokens
from avatar_core.errors import Reason
from avatar_core.folders import BUNDLE_FILES, BUNDLE_MANIFEST, BUNDLES
from avatar_core.store import Store
from avatar_gateway.answers import DamagedError, missing
from avatar_gateway.front import Door
from avatar_gateway.metrics import Metrics
from avatar_gateway.slots import Slots
from avatar_gateway.streaming import Stream
from avatar_gateway.uploads import Upload

PREFIX = "/v1/bundles/"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
_NAMES = "|".join(map(re.escape, (BUNDLE_MANIFEST, *BUNDLE_FILES)))
_PATH = re.compile(f"{PREFIX}(?P<id>[0-9a-f]{{64}})/(?P<name>{_NAMES})")
_HEADERS = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Bundles:
    """Keeps bundles. One is there when its manifest is, and that comes last.

    The manifest is held against the name, and the other files' sizes against the manifest; readers hold
    all against their hashes.

    Args:
        store: where objects are.
        tokens: of this gateway's audience.
        keepers: ServiceAccounts, as `namespace:name`, that may read and write bundles.
        object_bytes: of the largest file that is taken.
        uploads: places for them.
        metrics: told of what came in.
    """

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        keepers: Collection[str],
        object_bytes: int,
        uploads: Slots,
        metrics: Metrics,
    ) -> None:
        self._store, self._tokens, self._keepers = store, tokens, frozenset(keepers)
        self._object_bytes, self._uploads, self._metrics = object_bytes, uploads, metrics

    def door(self) -> Door:
        """For inference servers."""
        methods = ("GET", "HEAD", "PUT")
        return Door("bundle", PREFIX, methods, self._answer, lambda asked: asked.rel_url.raw_path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        caller = await self._tokens.caller(request.headers.get("Authorization", ""), request.remote or "")
        if f"{caller.namespace}:{caller.account}" not in self._keepers:
            raise CallerError(403, "this account keeps no bundles")
        found = _PATH.fullmatch(request.raw_path)
        if found is None:
            raise CallerError(403, "there are no such names")
        bundle, name = found["id"], found["name"]
        if request.method == "PUT":
            return await self._put(request, bundle, name)
        return await self._get(request, bundle, name)

    async def _get(self, request: web.Request, bundle: str, name: str) -> web.StreamResponse:
        key = _key(bundle, name)
        entry = await self._store.head(key)
        whole = name == BUNDLE_MANIFEST or await self._store.head(_key(bundle, BUNDLE_MANIFEST))
        if entry is None or not whole:
            return missing(key)
        headers = {**_HEADERS, "Content-Length": str(entry.size)}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        answer = Stream(200, headers)
        await answer.send(request, aiter(self._store.read(key)), key)
        return answer

    async def _put(self, request: web.Request, bundle: str, name: str) -> web.Response:
        limit = MANIFEST_BYTES_MAX if name == BUNDLE_MANIFEST else self._object_bytes
        upload = Upload(request, limit)
        with self._uploads.taken():
            pieces = upload.pieces()
            source = await self._manifest(bundle, pieces) if name == BUNDLE_MANIFEST else pieces
            stored = await self._store.put(_key(bundle, name), source, _HEADERS["Content-Type"])
        self._metrics.moved("in", stored.size)
        return web.json_response({"size": stored.size, "sha256": stored.sha256}, status=201)

    async def _manifest(self, bundle: str, pieces: AsyncIterator[bytes]) -> bytes:
        """The manifest, if it is the one of that name and its files are there.

        Raises:
            DamagedError: it is not, or they are not.
        """
        data = b"".join([piece async for piece in pieces])
        if hashlib.sha256(data).hexdigest() != bundle:
            raise DamagedError(Reason.INVALID_ARGUMENT, "the manifest is another bundle's")
        for name, size in sizes(data).items():
            entry = await self._store.head(_key(bundle, name))
            if entry is None or entry.size != size:
                there = "is not there" if entry is None else f"has {entry.size} bytes"
                raise DamagedError(Reason.INVALID_ARGUMENT, f"{name} {there}; the manifest comes last")
        return data


def sizes(manifest: bytes) -> dict[str, int]:
    """Bytes of a bundle's other files, as its manifest says.

    Raises:
        DamagedError: it says nothing of the kind.
    """
    try:
        files = json.loads(manifest)["files"]
        return {name: int(files[name]["bytes"]) for name in BUNDLE_FILES}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DamagedError(Reason.INVALID_ARGUMENT, "this is no bundle's manifest") from None


def _key(bundle: str, name: str) -> str:
    return f"{BUNDLES}/{bundle}/{name}"
