"""What the server counts, for Prometheus. Every server has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
