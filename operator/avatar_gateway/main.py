"""One gateway process: everything is made here, started in order, and ended in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from avatar_core.cluster.kube import Kube
from avatar_core.cluster.tokens import Tokens
from avatar_core.key_files import follow
from avatar_core.store import ObjectStore
from avatar_core.tracing import spans_of
from avatar_gateway.bundles import Bundles
from avatar_gateway.configuration import Configuration
from avatar_gateway.front import Front
from avatar_gateway.metrics import Metrics
from avatar_gateway.objects import Objects
from avatar_gateway.owners import Owners
from avatar_gateway.people import People
from avatar_gateway.permissions import Permissions
from avatar_gateway.sessions import Sessions
from avatar_gateway.slots import Slots
from avatar_gateway.videos import Videos
from avatar_gateway.viewers import Viewers

log = logging.getLogger(__name__)
STOP_SECONDS = 20.0
"""For requests under way when it is told to end."""
CLOSE_SECONDS = 1.0


async def serve_gateway(configuration: Configuration) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        InvalidInputError: the store's URL is wrong, or a key for links can't be read.
        StoreError: the store can't be opened.
        KubeError: it is not known where the API server is.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store, files = ObjectStore(configuration.store), configuration.links.read()
    kube = await Kube.connect(configuration.requests_a_second, configuration.requests_at_once)
    metrics = Metrics()
    tokens, owners = Tokens(kube, configuration.audience), Owners(kube)
    permissions = Permissions(tokens, owners, configuration.readers)
    spans = spans_of(os.environ, "avatar-gateway")
    uploads, limit = Slots(configuration.uploads_at_once, "uploads"), configuration.object_bytes
    videos = Videos(store, Slots(configuration.viewers_at_once, "answers to viewers"), metrics)
    doors = [
        Objects(store, permissions, limit, uploads, metrics, spans).door(),
        Bundles(store, tokens, configuration.keepers, limit, uploads, metrics).door(),
        Viewers(videos, lambda: [file.key for file in files]).door(),
        Sessions(People(kube, configuration.audience), videos).door(),
    ]
    front = Front(doors, metrics)
    async with AsyncExitStack() as servers:
        servers.push_async_callback(kube.close)
        probes = _probes(stop, metrics)
        await servers.enter_async_context(_served(probes, configuration.host, configuration.probes_port))
        site = await servers.enter_async_context(
            _served(front.application(), configuration.host, configuration.port)
        )
        following = asyncio.create_task(follow(files, metrics.looked))
        log.info("serving %s", configuration.store)
        await stop.wait()
        following.cancel()
        log.info("ending")
        await site.stop()
        await front.drain(STOP_SECONDS)
        await asyncio.to_thread(spans.close, CLOSE_SECONDS)


def _probes(stop: asyncio.Event, metrics: Metrics) -> web.Application:
    """`/healthz`, `/readyz` and `/metrics`.

    It is ready while the store is down, too: pods are better told so than not answered.
    """

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        if stop.is_set():
            return web.Response(text="it is ending\n", status=503)
        return web.Response(text="ok\n")

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain")

    app = web.Application()
    for path, answer in (("/healthz", healthy), ("/readyz", ready), ("/metrics", tell)):
        app.router.add_get(path, answer)
    return app


@asynccontextmanager
async def _served(app: web.Application, host: str, port: int) -> AsyncIterator[web.TCPSite]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield site
    finally:
        await runner.cleanup()
