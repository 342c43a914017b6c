"""Collects folders to be emptied into few Jobs, and tells each session how its clean-up went."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from avatar_core.cluster.kube import Kube, KubeError
from avatar_operator.cleanup_jobs import CleanupSettings, Folder, build_cleanup, folders_of
from avatar_operator.memory import Memory
from avatar_operator.objects import SessionView
from avatar_operator.observed import Clean, CleanState
from avatar_operator.paths import collection

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.5
"""Sessions often end together; those that ask within this time share a Job."""
FOLDERS_MAX, JOBS_MAX = 200, 4
RETRY_SECONDS, REFUSALS_MAX = 5.0, 3
"""Until a Job that was not taken is tried again, doubled each time; so often before sessions are told."""


class JobCleaner:
    """Clean-up by Jobs.

    Args:
        kube: where they are made.
        settings: how they look.
        memory: where each session's state is kept.
        on_change: told the uid of a session whose state changed.
        check: raises when this process may write no more.
        exists: whether there is a session of that uid; nothing is kept of others.
    """

    def __init__(
        self,
        kube: Kube,
        settings: CleanupSettings,
        memory: Memory,
        on_change: Callable[[str], None],
        check: Callable[[], None],
        exists: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._kube, self._settings, self._memory = kube, settings, memory
        self._on_change, self._check, self._exists = on_change, check, exists
        self._asked: deque[tuple[Folder, bool]] = deque()
        self._running: dict[str, tuple[Folder, ...]] = {}
        self._over: set[str] = set()
        self._refusals = 0
        self._wake = asyncio.Event()

    def ask(self, session: SessionView, *, alone: bool) -> None:
        """Empties the session's folder, soon; one that failed before does not share a Job again."""
        self._asked.append((Folder(session.namespace, session.uid, session.status.attempt), alone))
        self._wake.set()

    def see(self, uid: str, job: Mapping[str, Any] | None) -> None:
        """A clean-up Job as it is now; None: it is gone."""
        if job is None:
            self._over.discard(uid)
            for folder in self._running.pop(uid, ()):
                self._conclude(folder, CleanState.NONE)
            self._wake.set()
            return
        if uid in self._over or job["metadata"]["namespace"] != self._settings.namespace:
            return  # anybody may write labels in his own namespace, and would say that a folder is empty
        folders = folders_of(job)
        conditions = {
            c["type"]: c for c in job.get("status", {}).get("conditions", ()) if c["status"] == "True"
        }
        if "Complete" in conditions or "Failed" in conditions:
            state = CleanState.DONE if "Complete" in conditions else CleanState.FAILED
            message = conditions.get("Failed", {}).get("message", "")
            self._running.pop(uid, None)
            self._over.add(uid)
            for folder in folders:
                self._conclude(folder, state, f"Job {job['metadata']['name']}: {message}")
            self._wake.set()
        elif uid not in self._running:
            self._running[uid] = folders
            for folder in filter(lambda folder: self._exists(folder.uid), folders):
                self._memory.of(folder.uid).clean = Clean(CleanState.RUNNING, folder.attempt)

    async def run(self) -> None:
        """Makes Jobs for what was asked; ends only by being cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            while self._asked and len(self._running) < JOBS_MAX:
                await self._start(*self._next_batch())

    def _next_batch(self) -> tuple[tuple[Folder, ...], bool]:
        """Folders that share a Job, and whether the only one is to be alone."""
        folder, alone = self._asked.popleft()
        batch = [folder]
        while not alone and self._asked and len(batch) < FOLDERS_MAX and not self._asked[0][1]:
            batch.append(self._asked.popleft()[0])
        return tuple(batch), alone

    async def _start(self, folders: tuple[Folder, ...], alone: bool) -> None:
        """Makes a Job. One that is not taken says nothing of its folders: they are asked for again."""
        name = f"avatar-cleanup-{secrets.token_hex(5)}"
        try:
            self._check()
            manifest = build_cleanup(name, folders, self._settings)
            job = await self._kube.create(collection("jobs", self._settings.namespace), manifest)
        except KubeError as error:
            log.warning("no clean-up Job: %s", error)
            self._refusals += 1
            if self._refusals < REFUSALS_MAX:
                self._asked.extendleft((folder, alone) for folder in reversed(folders))
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS * 2 ** (self._refusals - 1))
                return
            for folder in folders:
                self._conclude(folder, CleanState.FAILED, f"no clean-up Job: {error.message}", alone=alone)
            return
        self._refusals = 0
        self._running.setdefault(job["metadata"]["uid"], folders)

    def _conclude(self, folder: Folder, state: CleanState, message: str = "", *, alone: bool = True) -> None:
        """What an older clean-up says is passed over once a newer attempt has begun."""
        if not self._exists(folder.uid):
            return
        known = self._memory.of(folder.uid)
        if folder.attempt < known.clean.attempt:
            return
        tries = known.clean.tries + (state is CleanState.FAILED)
        alone = alone and state is CleanState.FAILED
        known.clean = Clean(state, folder.attempt, tries, time.time(), message if tries else "", alone)
        self._on_change(folder.uid)
