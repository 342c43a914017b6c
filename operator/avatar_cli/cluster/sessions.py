"""Sessions of a namespace: read, changed and followed, through connections that break."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

from avatar_cli.cluster.connection import Cluster
from avatar_cli.cluster.session import Session, read_session
from avatar_core.errors import AvatarError, Reason
from avatar_core.mistakes import nearest
from avatar_core.resources import GROUP, VERSION

Json = dict[str, Any]
_GROUP = f"/apis/{GROUP}/{VERSION}"
_WATCH_SECONDS, _SILENCE_SECONDS = 30, 40.0
"""How long one watch lasts, and after how much silence it counts as broken."""
_PATIENCE_SECONDS, _PAUSE_SECONDS = 120.0, 1.0
_NAMED = 5


class Sessions:
    """The AvatarSessions of the cluster's chosen namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self.namespace = cluster, cluster.namespace
        self._path = f"{_GROUP}/namespaces/{cluster.namespace}/avatarsessions"

    async def read(self, name: str) -> Session:
        """The session as it is now.

        Raises:
            AvatarError: SESSION_NOT_FOUND, with names that are close to it.
        """
        try:
            return read_session(await self._cluster.get(f"{self._path}/{name}"))
        except AvatarError as error:
            if error.reason is not Reason.SESSION_NOT_FOUND:
                raise
            hint = await self._hint(name)
        message = f"there is no session {name!r} in namespace {self.namespace}{hint}"
        raise AvatarError(Reason.SESSION_NOT_FOUND, message)

    async def names(self) -> list[str]:
        """All of the namespace."""
        return sorted(name for _, name in await self._cluster.names(self._path))

    async def change(self, session: Session, **spec: object) -> Session:
        """Sets fields of the spec, of this very session."""
        body = {"metadata": {"uid": session.uid}, "spec": spec}
        return read_session(await self._cluster.patch(f"{self._path}/{session.name}", body))

    async def follow(
        self, first: Session, on_silence: Callable[[str], None]
    ) -> AsyncGenerator[Session, None]:
        """`first`, then each later state until the caller has enough.

        Args:
            first: as it was read.
            on_silence: told when the cluster does not answer; it is asked for two minutes more.

        Raises:
            AvatarError: SESSION_NOT_FOUND, it was deleted; CLUSTER_UNAVAILABLE, no answer for too long.
        """
        yield first
        seen, heard = first, time.monotonic()
        while True:
            try:
                current = self._same(await self.read(first.name), first)
                heard = time.monotonic()
                if current.version != seen.version:
                    yield current
                seen = current
                async with aclosing(self._changes(seen)) as changes:
                    async for document in changes:
                        heard = time.monotonic()
                        seen = self._same(read_session(document), first)
                        yield seen
            except AvatarError as error:
                silent = error.reason is Reason.CLUSTER_UNAVAILABLE
                if not silent or time.monotonic() - heard > _PATIENCE_SECONDS:
                    raise
                on_silence(f"{error.message}; trying again")
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _changes(self, since: Session) -> AsyncGenerator[Json, None]:
        """What a watch tells, until it ends; that it ends is nothing special."""
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={since.name}",
            "resourceVersion": since.version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._cluster.stream(self._path, query, silence=_SILENCE_SECONDS) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":  # too old to go on from: read anew
                    return
                if event["type"] == "DELETED":
                    raise self._gone(since)
                yield event["object"]

    def _same(self, session: Session, first: Session) -> Session:
        """The session, unless another one has taken its name."""
        if session.uid != first.uid:
            raise self._gone(first)
        return session

    def _gone(self, session: Session) -> AvatarError:
        message = f"session {session.name!r} in namespace {self.namespace} was deleted"
        return AvatarError(Reason.SESSION_NOT_FOUND, message)

    async def _hint(self, name: str) -> str:
        """Where it may be instead, as far as one may look."""
        with suppress(AvatarError):
            names = await self.names()
            if close := nearest(name, names):
                return close
            everywhere = f"{_GROUP}/avatarsessions"
            with suppress(AvatarError):
                others = await self._cluster.names(everywhere, fieldSelector=f"metadata.name={name}")
                if others:
                    return f"; there is one in namespace {others[0][0]}: add -n {others[0][0]}"
            if not names:
                return ", which has no sessions at all"
            more = ", …" if len(names) > _NAMED else ""
            return f"; there are {', '.join(names[:_NAMED])}{more}"
        return ""
