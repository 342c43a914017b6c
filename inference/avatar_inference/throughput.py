"""How many frames a second the server makes, measured while it works; LIVE streams are promised from it."""

from __future__ import annotations

SMOOTHING = 0.1


class Throughput:
    """The slowest stage's rate. Each stage tells what it did; a stage with several lanes does so much more.

    Args:
        lanes: parallel workers of each stage by name, such as {"engine": 1, "encode": 2}.
    """

    def __init__(self, lanes: dict[str, int]) -> None:
        self._lanes = lanes
        self._rates: dict[str, float] = {}

    def observe(self, stage: str, frames: int, seconds: float) -> None:
        """One lane of `stage` made so many frames in so many seconds."""
        rate = self._lanes[stage] * frames / max(seconds, 1e-6)
        known = self._rates.get(stage, rate)
        self._rates[stage] = (1 - SMOOTHING) * known + SMOOTHING * rate

    @property
    def frames_per_second(self) -> float:
        """Of the slowest stage; 0 while nothing was measured."""
        return min(self._rates.values(), default=0.0)
