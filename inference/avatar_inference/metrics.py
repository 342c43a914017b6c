"""What the server counts, for Prometheus. Every server has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from avatar_core.errors import AvatarError, Reason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Metrics:
    """The server's metrics; names start with `avatar_inference_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def name(suffix: str) -> str:
            return f"avatar_inference_{suffix}"

        self.renders = Counter(
            name("renders_total"), "Renders ended, by reason.", ["reason"], registry=self.registry
        )
        self.active = Gauge(name("renders_active"), "Renders accepted and not ended.", registry=self.registry)
        self.waiting = Gauge(
            name("renders_waiting"), "Renders waiting for admission.", registry=self.registry
        )
        self.frames = Counter(name("frames_total"), "Frames drawn and encoded.", registry=self.registry)
        self.step_frames = Histogram(
            name("step_frames"), "Frames in one step.", buckets=_SIZES, registry=self.registry
        )
        self.step_streams = Histogram(
            name("step_streams"), "Streams in one step.", buckets=_SIZES, registry=self.registry
        )
        self.step_seconds = Histogram(
            name("step_seconds"), "Time of one step.", buckets=_SECONDS, registry=self.registry
        )
        self.queue_seconds = Histogram(
            name("queue_seconds"), "Waiting for admission.", buckets=_SECONDS, registry=self.registry
        )
        self.first_frame_seconds = Histogram(
            name("first_frame_seconds"),
            "From the first sound to the first picture handed out.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.late_frames = Counter(
            name("late_frames_total"),
            "Frames of LIVE streams drawn after they were due.",
            registry=self.registry,
        )


def serve_metrics(host: str, port: int | None, metrics: Metrics) -> tuple[str | None, Callable[[], None]]:
    """Serves metrics in a thread; HOST:PORT (None without a port), and what ends it.

    Raises:
        AvatarError: the port is taken.
    """
    if port is None:
        return None, lambda: None
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        message = (
            f"can't serve metrics on {host}:{port}: {error.strerror}; give another "
            "--metrics-port, 0 for a free one, or --no-metrics"
        )
        raise AvatarError(Reason.INVALID_ARGUMENT, message, field="metrics_port") from None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"{host}:{server.server_port}", stop
