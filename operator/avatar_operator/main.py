"""One operator process: everything is made here, started in order, and ended in order."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from avatar_core.cluster.kube import Kube
from avatar_core.cluster.tokens import Tokens
from avatar_core.key_files import follow
from avatar_operator.applying import Applier
from avatar_operator.avatars.controller import Avatars
from avatar_operator.cache import Cache
from avatar_operator.cleaner import JobCleaner
from avatar_operator.configuration import Configuration
from avatar_operator.election import Election
from avatar_operator.line import Line
from avatar_operator.looking import Looker
from avatar_operator.memory import Memory
from avatar_operator.metrics import Metrics
from avatar_operator.observing import Observer
from avatar_operator.probes import probes
from avatar_operator.providers.controller import Providers
from avatar_operator.reports import Reports
from avatar_operator.results import Results
from avatar_operator.sessions import Sessions
from avatar_operator.watching import Watching
from avatar_operator.working import Keys, Loop
from avatar_operator.writing import Writer

log = logging.getLogger(__name__)
STOP_SECONDS = 20.0


class Operator:
    """One replica.

    Args:
        configuration: as the file says.
        kube: the API server.
    """

    def __init__(self, configuration: Configuration, kube: Kube) -> None:
        self._configuration = configuration
        self._key = configuration.link_key()
        settings = configuration.settings(self._key)
        instance = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        address = configuration.address.format(pod_ip=os.environ.get("POD_IP", "127.0.0.1"))
        self.election = Election(kube, configuration.lease_settings, instance, address)
        keys, memory = Keys(), Memory(configuration.progress_writes_a_second)
        check = self.election.check
        self._cleaner = JobCleaner(
            kube,
            configuration.cleanup_settings,
            memory,
            lambda uid: keys.put([uid]),
            check,
            lambda uid: cache.session(uid) is not None,
        )
        cache = Cache(self._cleaner.see)
        line = Line(configuration.capacity)
        self.metrics = Metrics(cache, lambda: len(keys), lambda: self.election.leading)
        kube.on_call = self.metrics.called
        looker = Looker(kube, cache, memory, keys.put)
        writer = Writer(kube, cache, memory, keys.put, instance, check)
        applier = Applier(writer, cache, memory, self._cleaner, self.metrics.wrote)
        gateway = configuration.gateway
        results = Results(gateway.url, gateway.token_file) if gateway else None
        observer = Observer(looker, cache, memory, line, results)
        self._sessions = Sessions(cache, memory, line, observer, applier, settings, keys)
        avatars = Avatars(cache, memory, looker, writer, settings)
        controllers = (self._sessions, avatars, Providers(cache, writer))
        self._loop = Loop(keys, controllers, self.metrics.reconciled)
        self._watching = Watching(kube, cache, configuration.namespaces or None, self._sessions.news)
        tokens = Tokens(kube, settings.audiences.operator)
        self._reports = Reports(kube, cache, memory, tokens, self.election, keys.put)
        self._filled = False
        self._over = ""

    async def run(self, stop: asyncio.Event) -> int:
        """Works until told to stop (0), or until a part of it can't go on (1)."""
        config = self._configuration
        async with AsyncExitStack() as servers:
            app = probes(self._health, self._readiness, self.metrics)
            await servers.enter_async_context(_served(app, config.host, config.probes_port))
            await self._watching.fill()
            reports = self._reports.application()
            await servers.enter_async_context(_served(reports, config.host, config.reports_port))
            work = {
                "compare": self._watching.compare(),
                "clean-up": self._cleaner.run(),
                "election": self.election.run(),
                "loop": self._lead(),
                "link key": follow([self._key], self.metrics.looked),
                "stop": stop.wait(),
            }
            # kopf waits at its end for every task that is younger than it.
            tasks = [asyncio.create_task(part, name=name) for name, part in work.items()]
            watches = asyncio.create_task(self._watching.run(lambda: _take_signals(stop)), name="watches")
            self._filled = True
            done, _ = await asyncio.wait([*tasks, watches], return_when=asyncio.FIRST_COMPLETED)
            asked = stop.is_set()
            for task in () if asked else done:
                log.error("%s ended", task.get_name(), exc_info=task.exception())
            await self._end(tasks, watches, servers)
        return 0 if asked else 1

    async def _end(
        self, tasks: list[asyncio.Task[Any]], watches: asyncio.Task[None], servers: AsyncExitStack
    ) -> None:
        """No new step, the steps under way, the Lease, posts, watches."""
        self._over = "it is ending"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
        await self.election.release()
        await servers.aclose()
        self._watching.stop()
        await asyncio.wait([watches], timeout=STOP_SECONDS)

    async def _lead(self) -> None:
        await self.election.elected.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._loop.run())
            tasks.create_task(self._sessions.watch_line())

    def _health(self) -> str:
        silent = self._watching.silent
        return f"no watch of {', '.join(silent)}" if silent else ""

    def _readiness(self) -> str:
        if self._over or not self._filled:
            return self._over or "the first lists are not there yet"
        if not self.election.leading and not self.election.leader_address:
            return "nobody leads"
        return self._health()


async def operate(configuration: Configuration) -> int:
    """Runs one replica until SIGTERM or SIGINT; returns the exit code.

    Raises:
        InvalidInputError: the configuration is wrong.
        KubeError: the API server does not answer at the start, or refuses.
    """
    stop = asyncio.Event()
    _take_signals(stop)
    kube = await Kube.connect(configuration.requests_a_second, configuration.requests_at_once)
    try:
        return await Operator(configuration, kube).run(stop)
    finally:
        await kube.close()


def _take_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set the event."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


@asynccontextmanager
async def _served(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
