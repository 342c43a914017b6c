"""A session's stages as spans, made of the news that everybody else hears, too."""

from __future__ import annotations

from avatar_core.tracing import Facts, Span, Spans
from avatar_session.progress import StageEvent


class StageSpans:
    """One span of an attempt, and below it one of each stage, each time it runs.

    Args:
        spans: makes them.
        facts: of the attempt.
    """

    def __init__(self, spans: Spans, facts: Facts) -> None:
        self._spans, self._whole = spans, spans.begin("session", facts)
        self._open: dict[str, Span] = {}

    def hear(self, event: StageEvent) -> None:
        """Takes news of the session. What a stage waits for is in words, and is left out."""
        span = self._open.get(event.stage)
        if span is None:
            if event.finished:
                return
            span = self._open[event.stage] = self._spans.begin(event.stage, {}, self._whole.traceparent)
        if event.finished:
            span.tell({f"avatar.{event.unit}": event.done})
            span.end()
            del self._open[event.stage]

    def traceparent(self, stage: str) -> str:
        """What makes a span elsewhere a child of a stage that runs; empty when it does not."""
        span = self._open.get(stage)
        return span.traceparent if span is not None else ""

    def end(self, facts: Facts, reason: str = "") -> None:
        """The attempt is over.

        Args:
            facts: what came of it.
            reason: why it failed; empty if it did not.
        """
        for span in self._open.values():
            span.end(reason or "Cancelled")
        self._open.clear()
        self._whole.tell(facts)
        self._whole.end(reason)
