"""Puts the parts of the inference server together and runs them.

async with serve(ServerSettings(port=0)) as running:
    print(running.target)
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.limits import MAX_AUDIO_SECONDS, SLOW_READER_SECONDS
from avatar_core.tracing import spans_of
from avatar_inference.admission import Limits
from avatar_inference.avatars import Avatars
from avatar_inference.bundle_gateway import GatewayBundles, SharedBundles
from avatar_inference.bundle_store import CACHE_BYTES_ON_DISK, BundleStore, default_bundle_store
from avatar_inference.door import Door
from avatar_inference.engine import Engine
from avatar_inference.listening import Tls, bind, check_exposure, options
from avatar_inference.metrics import Metrics, serve_metrics
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.musetalk.weights import open_weights
from avatar_inference.plan import DEFAULT_AVATAR
from avatar_inference.preparation import Preparation
from avatar_inference.service import LipSyncService, Parts
from avatar_inference.throughput import Throughput
from avatar_inference.worker import EngineWorker
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)
SERVICE: str = pb.DESCRIPTOR.services_by_name["LipSyncService"].full_name
LIVENESS = "liveness"
"""A name of the health service for whoever restarts the process: SERVING for as long as the engine can step,
draining or busy or not."""
CLOSE_SECONDS = 1.0
"""For last messages on their way, when all is done."""
SPANS_SECONDS = 2.0
"""For spans that were not sent yet, at the end."""
Guards = Sequence[grpc.aio.ServerInterceptor]
LISTENERS = 16
"""Streams that listen at once where a GPU hears: their threads only wait, for batches that others join,
and must not keep videos from being encoded. On a CPU so many would only be in each other's way."""
M_ARENA_MAX = -8
"""From glibc's malloc.h."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server runs.

    Attributes:
        host: address to bind; a non-loopback one needs `tls` or `insecure`.
        port: 0 takes a free one.
        metrics_port: for Prometheus; None for none, 0 for a free one.
        engine: "preview" or "musetalk".
        musetalk: how that engine runs.
        max_batch: frames in one step.
        limits: what is carried at once.
        bundle_store: folder of prepared avatars.
        shared_bundles: where all servers keep them; the folder is a cache then, and this server's alone.
        bundle_cache_bytes: of that cache.
        tls: None for plain text.
        insecure: allow plain text on a non-loopback address.
        token_audience: callers must show a pod's token for it, which the API server of the cluster reviews;
            empty: anybody may call.
        drain_seconds: time given to accepted renders on shutdown.
        slow_reader_seconds: time a client may leave video unread.
        max_audio_seconds: of one render.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    metrics_port: int | None = None
    engine: str = "preview"
    musetalk: MuseTalkSettings = field(default_factory=MuseTalkSettings)
    max_batch: int = 8
    limits: Limits = field(default_factory=lambda: Limits(renders=64, waiting=256, held_bytes=2 * 1024**3))
    bundle_store: Path = field(default_factory=default_bundle_store)
    shared_bundles: SharedBundles | None = None
    bundle_cache_bytes: int = CACHE_BYTES_ON_DISK
    tls: Tls | None = None
    insecure: bool = False
    token_audience: str = ""
    drain_seconds: float = 120.0
    slow_reader_seconds: float = SLOW_READER_SECONDS
    max_audio_seconds: int = MAX_AUDIO_SECONDS


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts calls.

    Attributes:
        target: HOST:PORT for clients.
        metrics_target: HOST:PORT of the metrics, None if there are none.
        parts: for tests and for telling what it does.
    """

    target: str
    metrics_target: str | None
    parts: Parts


def make_engine(settings: ServerSettings) -> Engine:
    """The engine that is asked for; its libraries are imported only now.

    Raises:
        InvalidInputError: unknown engine, or one that can't run as asked.
        AvatarError: WeightsMissing, or MissingDependency when its libraries are not installed.
    """
    if settings.engine == "preview":
        from avatar_inference.preview.engine import PreviewEngine

        return PreviewEngine()
    if settings.engine != "musetalk":
        message = f"{settings.engine!r} is unknown; must be preview or musetalk"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="engine")
    # Before torch is imported, which takes seconds, so that one need not wait to hear of none.
    open_weights(settings.musetalk.weights)
    try:
        from avatar_inference.musetalk.engine import MuseTalkEngine
    except ImportError as error:
        message = f"engine musetalk needs {error.name}; install avatar-operator[musetalk]"
        raise AvatarError(Reason.MISSING_DEPENDENCY, message, field="engine") from None
    return MuseTalkEngine(settings.musetalk, settings.max_batch)


@asynccontextmanager
async def serve(settings: ServerSettings) -> AsyncIterator[Running]:
    """Runs a server; leaving the `with` drains it: accepted renders finish, new ones are refused.

    Raises:
        AvatarError: the address can't be bound, TLS files can't be read, or plain text was not allowed.
    """
    check_exposure(settings.host, settings.tls, settings.insecure)
    _bound_arenas()
    async with _guards(settings) as guards:
        engine = await asyncio.to_thread(make_engine, settings)
        try:
            with _assembled(settings, engine, Metrics()) as parts:
                async with _running(settings, parts, guards) as running:
                    yield running
        finally:  # also when the port is taken: whoever tries another one must not hold two engines
            await asyncio.to_thread(engine.close)


@asynccontextmanager
async def _guards(settings: ServerSettings) -> AsyncIterator[Guards]:
    """What looks at every call first; the Kubernetes client is imported only when it is needed."""
    if not settings.token_audience:
        yield ()
        return
    try:
        from avatar_inference.callers import Callers
    except ImportError as error:
        message = f"token_audience needs {error.name}; install avatar-operator[operator]"
        raise AvatarError(Reason.MISSING_DEPENDENCY, message, field="token_audience") from None
    async with Callers.of_cluster(settings.token_audience) as callers:
        yield (callers,)


@contextmanager
def _assembled(settings: ServerSettings, engine: Engine, metrics: Metrics) -> Iterator[Parts]:
    """The parts, without what speaks gRPC; their threads end with the block."""
    shared = GatewayBundles.of(settings.shared_bundles) if settings.shared_bundles else None
    store = BundleStore(settings.bundle_store, shared=shared, disk_bytes=settings.bundle_cache_bytes)
    encoders = max(2, _cores())
    worker = EngineWorker(engine, settings.max_batch, metrics, Throughput({"engine": 1, "encode": encoders}))
    door = Door(settings.limits, metrics)
    pool = ThreadPoolExecutor(encoders, thread_name_prefix="encode")
    waiting = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listen")
    spans = spans_of(os.environ, "avatar-inference")
    try:
        yield Parts(
            avatars=Avatars(engine, store),
            worker=worker,
            door=door,
            listening=waiting if engine.receipt.accelerated else pool,
            pool=pool,
            metrics=metrics,
            spans=spans,
            preparation=Preparation(engine, store),
            info=lambda: _info(settings, engine, worker, door),
            slow_reader_seconds=settings.slow_reader_seconds,
            max_audio_seconds=settings.max_audio_seconds,
        )
    finally:
        for threads in (waiting, pool):
            threads.shutdown(wait=False, cancel_futures=True)
        if shared:
            shared.close()
        spans.close(SPANS_SECONDS)


@asynccontextmanager
async def _running(settings: ServerSettings, parts: Parts, guards: Guards) -> AsyncIterator[Running]:
    # The first reply should not wait for the default face.
    if parts.worker.engine.builtin(DEFAULT_AVATAR):
        await parts.avatars.get(DEFAULT_AVATAR)
    service = LipSyncService(parts)
    server, healthy = grpc.aio.server(interceptors=guards, options=options()), health.aio.HealthServicer()
    pb_grpc.add_LipSyncServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = bind(server, settings.host, settings.port, settings.tls)
    metrics_target, stop_metrics = serve_metrics(settings.host, settings.metrics_port, parts.metrics)
    await _set_health(healthy, health_pb2.HealthCheckResponse.SERVING, LIVENESS)
    stepping = asyncio.create_task(_stepping(parts.worker, healthy), name="engine")
    await server.start()
    target = f"{settings.host}:{port}"
    about = {"target": target, "engine": parts.worker.engine.name, "metrics": metrics_target}
    log.info("serving", extra=about)
    try:
        yield Running(target, metrics_target, parts)
    finally:
        parts.door.draining = True
        await _set_health(healthy, health_pb2.HealthCheckResponse.NOT_SERVING)
        # Until all are done it goes on to answer: a server that refuses connections looks like a lost one.
        with suppress(TimeoutError):
            await asyncio.wait_for(service.idle(), settings.drain_seconds)
        await server.stop(CLOSE_SECONDS)
        stepping.cancel()
        await asyncio.gather(stepping, return_exceptions=True)
        stop_metrics()
        log.info("stopped", extra={"target": target})


async def _stepping(worker: EngineWorker, healthy: health.aio.HealthServicer) -> None:
    """Runs the engine. Should its loop break, nothing is drawn any more: only another process mends that."""
    try:
        await worker.run()
    except Exception:
        log.exception("the engine's loop broke")
        await _set_health(healthy, health_pb2.HealthCheckResponse.NOT_SERVING, LIVENESS)


def _cores() -> int:
    """Cores this process may use: fewer than the machine's where it is pinned, as in a container."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 2


def _bound_arenas() -> None:
    """Two malloc arenas for all threads: glibc's one a thread make memory creep up over long renders."""
    with suppress(OSError, AttributeError):  # no glibc, no arenas
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


async def _set_health(healthy: health.aio.HealthServicer, state: int, *more: str) -> None:
    for name in ("", SERVICE, *more):
        await healthy.set(name, state)


def _info(
    settings: ServerSettings, engine: Engine, worker: EngineWorker, door: Door
) -> pb.GetServerInfoResponse:
    return pb.GetServerInfoResponse(
        version=version("avatar-operator"),
        engine=engine.name,
        max_batch=settings.max_batch,
        active_renders=door.active,
        queued_renders=door.waiting,
        max_renders=settings.limits.renders,
        frames_per_second=worker.throughput.frames_per_second,
        draining=door.draining,
        builtin_avatars=[DEFAULT_AVATAR] if engine.builtin(DEFAULT_AVATAR) else [],
        notes=engine.receipt.notes,
    )
