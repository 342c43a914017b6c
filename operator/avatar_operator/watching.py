"""kopf's watches fill the cache; what vanished while one was cut is found by comparing with a list."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf
from kopf._core.engines.peering import Identity

from avatar_core.cluster.kube import GoneError, Kube, KubeError
from avatar_core.resources import GROUP, VERSION
from avatar_operator.cache import Cache
from avatar_operator.kopf_settings import WATCH_SECONDS, kopf_settings, quiet_kopf
from avatar_operator.paths import LABELLED, OURS, WATCHED, collection, one, selection

log = logging.getLogger(__name__)
COMPARE_SECONDS = 300.0
FORBIDDEN = 403
SETTLE_SECONDS = 2.0
"""So long after a list of kopf's its objects have arrived."""
PULSE_SECONDS = WATCH_SECONDS + 90.0
_KINDS = {
    "avatarsessions": (GROUP, VERSION, "avatarsessions"),
    "avatars": (GROUP, VERSION, "avatars"),
    "avatarproviders": (GROUP, VERSION, "avatarproviders"),
    "jobs": ("batch", "v1", "jobs"),
    "pods": ("", "v1", "pods"),
}

OnChange = Callable[[Iterable[str]], None]


class Watching:
    """Keeps the cache true.

    Args:
        kube: whose server is watched.
        cache: what is kept.
        namespaces: to watch; None: all.
        on_change: told the uids of sessions to be looked at.
    """

    def __init__(
        self, kube: Kube, cache: Cache, namespaces: Sequence[str] | None, on_change: OnChange
    ) -> None:
        self._kube, self._cache, self._on_change = kube, cache, on_change
        self._namespaces = namespaces
        self._watched: dict[tuple[str, str], float] = {}
        self._compare: set[str] = set()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def scopes(self) -> tuple[str | None, ...]:
        """Namespaces to ask for, or None once for all."""
        return (None,) if self._namespaces is None else tuple(self._namespaces)

    @property
    def silent(self) -> tuple[str, ...]:
        """Kinds whose watch has not been renewed for too long."""
        now = time.monotonic()
        return tuple(sorted({kind for (kind, _), at in self._watched.items() if now > at + PULSE_SECONDS}))

    async def fill(self) -> None:
        """The first picture, before any event. A namespace that may not be read keeps no other from it.

        Raises:
            KubeError: the API server does not answer, or refuses all of it.
        """
        refused: dict[str | None, KubeError] = {}
        for plural in WATCHED:
            for scope in self.scopes:
                try:
                    async for document in self._kube.list(collection(plural, scope), selection(plural)):
                        self._cache.put(plural, document)
                except KubeError as error:
                    if error.code != FORBIDDEN:
                        raise
                    refused.setdefault(scope, error)
        for scope, refusal in refused.items():
            if len(refused) == len(self.scopes):
                raise refusal
            log.error("namespace %s can't be read: %s", scope, refusal)

    async def run(self, on_spawned: Callable[[], None]) -> None:
        """kopf's part; returns when it ends, which it should not before `stop`.

        `on_spawned` is called once kopf has taken the process's signals.
        """
        mine = asyncio.all_tasks()
        now = time.monotonic()
        self._watched = {(p, collection(p, scope)): now for p in WATCHED for scope in self.scopes}
        quiet_kopf()
        scope: dict[str, Any] = (
            {"clusterwide": True} if self._namespaces is None else {"namespaces": list(self._namespaces)}
        )
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=kopf_settings({_KINDS[plural]: OURS for plural in LABELLED}),
            standalone=True,
            # For peering, which is off. Left out, kopf asks for the user's name, which a container's has not.
            identity=Identity("avatar-operator"),
            stop_flag=self._stop,
            **scope,
        )
        on_spawned()
        await kopf.run_tasks(tasks, ignored=mine)

    def stop(self) -> None:
        """Ends the watches."""
        self._stop.set()

    async def compare(self) -> None:
        """Compares the cache with lists: after each list that kopf made anew, and every five minutes."""
        while True:
            try:
                async with asyncio.timeout(COMPARE_SECONDS):
                    await self._wake.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                plurals, self._compare = set(self._compare), set()
                self._wake.clear()
            except TimeoutError:
                plurals = set(WATCHED)
            for plural in sorted(plurals):
                try:
                    for scope in self.scopes:
                        await self._compare_scope(plural, scope)
                except KubeError as error:
                    log.warning("%s could not be compared: %s", plural, error)
                    self._compare.add(plural)
                    self._wake.set()

    async def _compare_scope(self, plural: str, scope: str | None) -> None:
        before = self._cache.known(plural, scope)
        try:
            found = await self._list(plural, scope)
        except KubeError as error:
            if scope is None or error.code != FORBIDDEN:
                raise
            if not await self._is_gone(scope):
                log.error("%s of namespace %s can't be compared: %s", plural, scope, error)
                return
            found = set()
        for uid in before - found:
            self._on_change(self._cache.drop(plural, uid))

    async def _list(self, plural: str, scope: str | None) -> set[str]:
        """Uids of what is there; what is newer than known is read."""
        found = set()
        async for item in self._kube.list(collection(plural, scope), selection(plural), only_metadata=True):
            metadata = item["metadata"]
            found.add(metadata["uid"])
            if int(metadata["resourceVersion"]) > self._cache.known_version(plural, metadata["uid"]):
                await self._read(plural, metadata["namespace"], metadata["name"])
        return found

    async def _is_gone(self, namespace: str) -> bool:
        """Whether it is no more; its RoleBindings went with it, so all that it held is forbidden."""
        try:
            await self._kube.get(f"/api/v1/namespaces/{namespace}")
        except GoneError:
            return True
        return False

    async def _read(self, plural: str, namespace: str, name: str) -> None:
        try:
            self._on_change(self._cache.put(plural, await self._kube.get(one(plural, namespace, name))))
        except GoneError:
            return

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        for plural, kind in _KINDS.items():
            kopf.on.event(*kind, registry=registry, id=f"see-{plural}")(self._handler(plural))
        kopf.on.login(registry=registry)(self._login)
        return registry

    def _handler(self, plural: str) -> Callable[..., Any]:
        async def see(event: Any, **_: Any) -> None:
            """Returns None, or kopf would write the result into the object."""
            document = event["object"]
            if event["type"] == "DELETED":
                self._on_change(self._cache.drop(plural, document["metadata"]["uid"]))
            else:
                self._on_change(self._cache.put(plural, document))

        return see

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """The official client's credentials, and a trace of when kopf lists and watches."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._on_request)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._kube.tls, limit=0),
            headers=await self._kube.headers(),
            trace_configs=[trace],
            read_bufsize=2**21,
        )
        return kopf.AiohttpSession(server=self._kube.server, aiohttp_session=session)

    async def _on_request(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        path, status = params.url.path, params.response.status
        plural = path.rpartition("/")[2]
        if status == FORBIDDEN and self._namespaces is not None and (plural, path) in self._watched:
            # One namespace whose RoleBinding is gone makes nobody ill who serves others.
            self._watched[plural, path] = time.monotonic()
        if params.method != "GET" or plural not in WATCHED or status != 200:
            return
        if params.url.query.get("watch"):
            self._watched[plural, path] = time.monotonic()
        else:
            # At the start, and where the server no longer knows what has happened since: 410 Gone.
            if not params.url.query.get("continue"):
                log.info("%s are listed anew", plural)
            self._compare.add(plural)
            self._wake.set()
