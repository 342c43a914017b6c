"""Puts the parts of the inference server together and runs them.

async with serve(ServerSettings(port=0)) as running:
    print(running.target)
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.limits import MAX_AUDIO_SECONDS, SLOW_READER_SECONDS
from avatar_inference.admission import Limits
from avatar_inference.avatars import Avatars
from avatar_inference.bundle_store import BundleStore
from avatar_inference.door import Door
from avatar_inference.engine import Engine
from avatar_inference.metrics import Metrics
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
MESSAGE_BYTES = 4 * 1024 * 1024
STREAMS = 1024
LISTENERS = 16
"""Streams that listen at once where a GPU hears: their threads only wait, for batches that others join,
and must not keep videos from being encoded. On a CPU so many would only be in each other's way."""
M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def default_bundle_store() -> Path:
    """Where prepared avatars lie unless told: the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "avatar-operator/bundles"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files; with `client_ca` clients must show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


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
        tls: None for plain text.
        insecure: allow plain text on a non-loopback address.
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
    tls: Tls | None = None
    insecure: bool = False
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
    _check_exposure(settings)
    _bound_arenas()
    metrics = Metrics()
    engine = await asyncio.to_thread(make_engine, settings)
    try:
        async with _running(settings, engine, metrics) as running:
            yield running
    finally:  # also when the port is taken: whoever tries another one must not hold two engines
        await asyncio.to_thread(engine.close)


@asynccontextmanager
async def _running(settings: ServerSettings, engine: Engine, metrics: Metrics) -> AsyncIterator[Running]:
    store = BundleStore(settings.bundle_store)
    encoders = max(2, _cores())
    worker = EngineWorker(engine, settings.max_batch, metrics, Throughput({"engine": 1, "encode": encoders}))
    door = Door(settings.limits, metrics)
    pool = ThreadPoolExecutor(encoders, thread_name_prefix="encode")
    waiting = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listen")
    listening = waiting if engine.receipt.accelerated else pool
    avatars = Avatars(engine, store)
    parts = Parts(
        avatars=avatars,
        worker=worker,
        door=door,
        listening=listening,
        pool=pool,
        metrics=metrics,
        preparation=Preparation(engine, store),
        info=lambda: _info(settings, engine, worker, door),
        slow_reader_seconds=settings.slow_reader_seconds,
        max_audio_seconds=settings.max_audio_seconds,
    )
    # The first reply should not wait for the default face.
    if engine.builtin(DEFAULT_AVATAR):
        await avatars.get(DEFAULT_AVATAR)
    server, healthy = grpc.aio.server(options=_options()), health.aio.HealthServicer()
    pb_grpc.add_LipSyncServiceServicer_to_server(LipSyncService(parts), server)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = _bind(server, settings)
    metrics_target, stop_metrics = _serve_metrics(settings, metrics)
    stepping = asyncio.create_task(worker.run(), name="engine")
    await server.start()
    await _set_health(healthy, health_pb2.HealthCheckResponse.SERVING)
    target = f"{settings.host}:{port}"
    log.info("serving", extra={"target": target, "engine": engine.name, "metrics": metrics_target})
    try:
        yield Running(target, metrics_target, parts)
    finally:
        door.draining = True
        await _set_health(healthy, health_pb2.HealthCheckResponse.NOT_SERVING)
        await server.stop(settings.drain_seconds)
        stepping.cancel()
        await asyncio.gather(stepping, return_exceptions=True)
        for threads in (waiting, pool):
            threads.shutdown(wait=False, cancel_futures=True)
        stop_metrics()
        log.info("stopped", extra={"target": target})


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


def _check_exposure(settings: ServerSettings) -> None:
    if settings.tls or settings.insecure or settings.host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        message = f"{settings.host} is not a loopback address; give --tls-cert and --tls-key, or --insecure"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="host")


def _options() -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        if settings.tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(settings.tls))
    except RuntimeError as error:
        message = f"can't listen on {address}: {error}"
        raise AvatarError(Reason.INVALID_ARGUMENT, message, field="port") from None


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    try:
        # grpc only says that binding failed; this says which file is wrong.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        roots = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as error:
        message = f"{tls.certificate}, {tls.key} or the client CA can't be used: {error}"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="tls") from None
    return grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)


def _serve_metrics(settings: ServerSettings, metrics: Metrics) -> tuple[str | None, Callable[[], None]]:
    if settings.metrics_port is None:
        return None, lambda: None
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host, metrics.registry)
    except OSError as error:
        message = (
            f"can't serve metrics on {settings.host}:{settings.metrics_port}: {error.strerror}; give another "
            "--metrics-port, 0 for a free one, or --no-metrics"
        )
        raise AvatarError(Reason.INVALID_ARGUMENT, message, field="metrics_port") from None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"{settings.host}:{server.server_port}", stop


async def _set_health(healthy: health.aio.HealthServicer, state: int) -> None:
    for name in ("", SERVICE):
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
