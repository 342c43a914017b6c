"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from avatar_core.key_files import Look


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "avatar_gateway_requests",
            "Requests by the way they came: store, link, session or bundle. Code 'broken': begun, not ended.",
            ["door", "method", "code"],
            registry=self._registry,
        )
        self._bytes = Counter(
            "avatar_gateway_bytes", "Bytes of objects.", ["direction"], registry=self._registry
        )
        self._viewers = Gauge(
            "avatar_gateway_viewer_streams", "Answers to viewers under way.", registry=self._registry
        )

        self._looks = Counter(
            "avatar_gateway_link_key_looks",
            "Looks at the files of keys for links; refused: away or too short, the key before it stays.",
            ["key", "result"],
            registry=self._registry,
        )

    def looked(self, key: str, look: Look) -> None:
        """A file of a key was looked at."""
        self._looks.labels(key, str(look)).inc()

    def answered(self, door: str, method: str, code: int, *, broken: bool = False) -> None:
        """A request was answered, or the answer broke off."""
        self._requests.labels(door, method, "broken" if broken else str(code)).inc()

    def moved(self, direction: str, size: int) -> None:
        """An object came "in" or went "out"."""
        self._bytes.labels(direction).inc(size)

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """A viewer is sent something until the block ends."""
        with self._viewers.track_inprogress():
            yield

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self._registry)
