"""The loop: keys come from events, deadlines and failures; each is looked at by one worker at a time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from avatar_core.cluster.kube import ConflictError, GoneError, KubeError
from avatar_operator.deadlines import Deadlines

log = logging.getLogger(__name__)
WORKERS = 16
BACKOFF_SECONDS, BACKOFF_MAX = 0.2, 60.0

OnReconcile = Callable[[float, str], None]
"""Told of every look at an object: seconds, and "idle", "done", "retry" or "error"."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at an object.

    Attributes:
        idle: there was nothing to do.
        wake_at: Unix seconds at which to look again though nothing happened.
        again: at once.
    """

    idle: bool = True
    wake_at: float | None = None
    again: bool = False


class Controller(Protocol):
    """Looks after the objects of one kind; what it knows of them is its own."""

    kind: str
    """For logs."""

    def begin(self) -> Collection[str]:
        """Uids of all objects that there are, once, before the first step."""
        ...

    def named(self, uid: str) -> str | None:
        """Namespace and name of an object of this kind, as "namespace/name"; None: there is none."""
        ...

    async def step(self, uid: str) -> Look:
        """Compares what is with what should be, and does what is to be done.

        Raises:
            KubeError: a request failed; the step is tried again later.
        """
        ...

    def forget(self, uid: str) -> None:
        """There is no object of that uid, or none of this kind."""
        ...


class Keys:
    """Uids to be looked at; each is in it once, and never at two workers at a time.

    Nothing is taken before `open`: where nobody works they would pile up for ever.
    """

    def __init__(self) -> None:
        self.opened = False
        self._first: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._working: set[str] = set()
        self._again: dict[str, bool] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._first) + len(self._waiting)

    def open(self) -> None:
        """From now on there is somebody who works."""
        self.opened = True

    def put(self, uids: Iterable[str], *, first: bool = False) -> None:
        """To be looked at, `first` before all others; those that a worker has right now, once it is done."""
        for uid in uids if self.opened else ():
            if uid in self._working:
                self._again[uid] = first or self._again.get(uid, False)
            elif first:
                self._waiting.pop(uid, None)
                self._first.setdefault(uid)
            elif uid not in self._first:
                self._waiting.setdefault(uid)
        if len(self):
            self._some.set()

    async def take(self) -> str:
        """The one that waits longest, of those that go first if there are any."""
        while not len(self):
            self._some.clear()
            await self._some.wait()
        queue = self._first or self._waiting
        uid = next(iter(queue))
        del queue[uid]
        self._working.add(uid)
        return uid

    def done(self, uid: str) -> None:
        """The worker is done with it."""
        self._working.discard(uid)
        if uid in self._again:
            self.put([uid], first=self._again.pop(uid))


class Loop:
    """Serves any number of controllers; a uid is of one object in the whole cluster.

    Args:
        keys: what is to be looked at.
        controllers: one for each kind.
        on_reconcile: for metrics.
    """

    def __init__(
        self, keys: Keys, controllers: Sequence[Controller], on_reconcile: OnReconcile = lambda *_: None
    ) -> None:
        self._keys, self._controllers, self._on_reconcile = keys, controllers, on_reconcile
        self._deadlines: Deadlines[str] = Deadlines()
        self._failures: dict[str, int] = {}
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Works until cancelled, beginning with every object; a step under way is finished."""
        self._keys.open()
        for controller in self._controllers:
            self._keys.put(controller.begin())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._watch_clock())

    async def _work(self) -> None:
        while True:
            uid = await self._keys.take()
            step = asyncio.ensure_future(self._safely(uid))
            try:
                await asyncio.shield(step)
            except asyncio.CancelledError:
                await step
                raise
            finally:
                self._keys.done(uid)

    async def _safely(self, uid: str) -> None:
        """One step; whatever fails is tried again later, and never stops the loop."""
        began = time.monotonic()
        controller = self._of(uid)
        result = "idle" if controller is None else await self._tried(controller, uid)
        self._on_reconcile(time.monotonic() - began, result)
        if self._of(uid) is None:
            self._forget(uid)

    async def _tried(self, controller: Controller, uid: str) -> str:
        named = {controller.kind: controller.named(uid) or uid}
        try:
            look = await controller.step(uid)
        except (ConflictError, GoneError) as error:
            log.debug("looked at again: %s", error, extra=named)
            self._later(uid)
            return "retry"
        except KubeError as error:
            log.warning("tried again later: %s", error, extra=named)
            self._later(uid, error.retry_after)
            return "retry"
        except Exception:
            log.exception("%s can't be reconciled", controller.kind, extra=named)
            self._later(uid)
            return "error"
        self._failures.pop(uid, None)
        self._set_deadline(uid, look.wake_at)
        if look.again:
            self._keys.put([uid])
        return "idle" if look.idle else "done"

    def _of(self, uid: str) -> Controller | None:
        return next((found for found in self._controllers if found.named(uid) is not None), None)

    def _forget(self, uid: str) -> None:
        for controller in self._controllers:
            controller.forget(uid)
        self._failures.pop(uid, None)
        self._deadlines.set(uid, None)

    def _later(self, uid: str, after: float | None = None) -> None:
        failures = self._failures.get(uid, 0)
        wait = min(BACKOFF_MAX, BACKOFF_SECONDS * 2**failures) * random.uniform(0.5, 1)  # noqa: S311
        self._failures[uid] = min(failures + 1, 20)
        self._set_deadline(uid, time.time() + max(wait, after or 0))

    def _set_deadline(self, uid: str, at: float | None) -> None:
        self._deadlines.set(uid, at)
        self._moved.set()

    async def _watch_clock(self) -> None:
        """Puts keys whose time has come into the queue."""
        while True:
            self._moved.clear()
            self._keys.put(self._deadlines.due(time.time()))
            next_at = self._deadlines.next()
            # At most a minute: the wall clock may be set, and the timer does not know.
            wait = 60.0 if next_at is None else min(60.0, max(0.001, next_at - time.time()))
            try:
                async with asyncio.timeout(wait):
                    await self._moved.wait()
            except TimeoutError:
                continue
