"""The step of an avatar: a picture from caches or live, a decision, requests."""

from __future__ import annotations

import time
from collections.abc import Collection

from avatar_operator.avatars.decide import reconcile_avatar
from avatar_operator.avatars.objects import AvatarObject, Decision, Seen
from avatar_operator.avatars.reading import to_json
from avatar_operator.cache import Cache
from avatar_operator.looking import Looker
from avatar_operator.memory import Memory
from avatar_operator.names import AVATAR_UID, IN_USE, preparation_name
from avatar_operator.settings import Settings
from avatar_operator.working import Look
from avatar_operator.writing import Target, Writer


class Avatars:
    """Looks at avatars and does what is decided.

    Args:
        cache, memory: what is known.
        looker, writer: the ways in and out.
        settings: of the administrator.
    """

    kind = "avatar"

    def __init__(
        self, cache: Cache, memory: Memory, looker: Looker, writer: Writer, settings: Settings
    ) -> None:
        self._cache, self._memory = cache, memory
        self._looker, self._writer, self._settings = looker, writer, settings

    def begin(self) -> Collection[str]:
        """Every avatar."""
        return self._cache.avatar_uids

    def named(self, uid: str) -> str | None:
        """Namespace and name; None when there is no such avatar."""
        avatar = self._cache.avatar_of(uid)
        return f"{avatar.namespace}/{avatar.name}" if avatar else None

    def forget(self, uid: str) -> None:
        """It is gone."""
        self._memory.forget(uid)

    async def step(self, uid: str) -> Look:
        """One look at an avatar.

        Raises:
            KubeError: a request failed.
        """
        avatar = self._cache.avatar_of(uid)
        if avatar is None:
            return Look()
        now = time.time()
        decision = reconcile_avatar(self._picture(avatar, now), self._settings, now)
        if decision.look:
            looked = await self._look(avatar)
            if looked is None:
                return Look(idle=False)
            avatar, now = looked, time.time()
            decision = reconcile_avatar(self._picture(avatar, now, live=True), self._settings, now)
        await self._apply(avatar, decision)
        return self._follow(avatar, decision)

    def _picture(self, avatar: AvatarObject, now: float, *, live: bool = False) -> Seen:
        known = self._memory.of(avatar.uid)
        jobs = self._cache.jobs(avatar)
        return Seen(
            avatar=avatar,
            jobs=jobs if known.foreign is None else (*jobs, known.foreign),
            pods=self._cache.pods(avatar),
            prepared=dict(self._cache.prepared(avatar)),
            users=self._cache.users(avatar) if avatar.deleting else (),
            namespace_terminating=avatar.namespace in self._memory.terminating,
            refusals=known.refusals,
            job_refused=known.refusal(now),
            live=live,
        )

    async def _look(self, avatar: AvatarObject) -> AvatarObject | None:
        target = _target(avatar)
        if not await self._looker.look(target, avatar, AVATAR_UID):
            return None
        looked = self._cache.avatar_of(avatar.uid)
        if looked is not None:
            attempt = looked.status.attempt if looked.status.observed_generation == looked.generation else 0
            name = preparation_name(looked.uid, looked.generation, attempt + 1)
            await self._looker.look_for_foreign(looked, name)
        return looked

    async def _apply(self, avatar: AvatarObject, decision: Decision) -> None:
        uid = avatar.uid
        if decision.add_finalizer:
            await self._writer.finalizers(_target(avatar), (*avatar.finalizers, IN_USE))
            avatar = self._cache.avatar_of(uid) or avatar
        if decision.create is not None:
            await self._writer.create_job(_target(avatar), decision.create)
        if decision.status is not None:
            await self._writer.status(_target(avatar), to_json(avatar.status), to_json(decision.status))
            avatar = self._cache.avatar_of(uid) or avatar
        for note in decision.notes:
            await self._writer.note(_target(avatar), note)
        for gone in decision.deletes:
            await self._writer.delete(avatar.namespace, gone)
        if decision.drop_finalizer:
            others = tuple(name for name in avatar.finalizers if name != IN_USE)
            await self._writer.finalizers(_target(avatar), others)
        if decision.read_refusals:
            await self._writer.read_refusals(_target(avatar), decision.read_refusals)

    def _follow(self, avatar: AvatarObject, decision: Decision) -> Look:
        known = self._memory.of(avatar.uid)
        refused_until = known.refused_until if known.refusal(time.time()) else None
        times = [at for at in (decision.wake_at, refused_until) if at is not None]
        wrote = decision.add_finalizer or decision.drop_finalizer or decision.status is not None
        # The watch tells of the process's own writes what the cache knows already: no news.
        again = bool(wrote or decision.read_refusals)
        return Look(idle=decision.empty, wake_at=min(times, default=None), again=again)


def _target(avatar: AvatarObject) -> Target:
    return Target("Avatar", avatar.namespace, avatar.name, avatar.uid, avatar.resource_version)
