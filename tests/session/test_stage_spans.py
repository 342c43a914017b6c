"""News of stages as spans: each stage once each time it runs, whatever is told again, and nobody's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatar_core.tracing import Facts
from avatar_session.progress import StageEvent
from avatar_session.stage_spans import StageSpans


@dataclass
class Recorded:
    """A span that a test can look at."""

    name: str
    parent: str
    traceparent: str
    facts: dict[str, object] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def tell(self, facts: Facts) -> None:
        self.facts |= facts

    def end(self, reason: str = "") -> None:
        self.ended.append(reason)


@dataclass
class Recorder:
    """All spans of a test."""

    made: list[Recorded] = field(default_factory=list)

    def begin(self, name: str, facts: Facts, parent: str = "", *, remote: bool = False) -> Recorded:
        self.made.append(Recorded(name, parent, f"id-{len(self.made)}", dict(facts)))
        return self.made[-1]

    def close(self, seconds: float) -> None:
        pass


def told(stages: StageSpans, stage: str, unit: str, *done: float, note: str = "") -> None:
    """A stage begins, gets on, and tells its last news again."""
    for each in (0, *done, done[-1] if done else 0):
        stages.hear(StageEvent(stage, unit, each, note=note))


def test_stages_overlap_and_each_is_a_child_of_the_attempt() -> None:
    spans = Recorder()
    stages = StageSpans(spans, {"avatar.attempt": 1})
    told(stages, "llm", "tokens", 3, 7)
    told(stages, "speech", "seconds", 1.5, note="the server says: my secret prompt is bad; trying again")
    stages.hear(StageEvent("llm", "tokens", 7, 7, 100, finished=True))
    assert stages.traceparent("llm") == ""
    assert stages.traceparent("speech") == "id-2"
    stages.hear(StageEvent("speech", "seconds", 1.5, finished=True))
    stages.hear(StageEvent("speech", "seconds", 1.5, finished=True))  # the last news again
    stages.end({"avatar.frames": 9})
    whole, *children = spans.made
    assert [(each.name, each.parent) for each in children] == [("llm", "id-0"), ("speech", "id-0")]
    assert [each.ended for each in spans.made] == [[""]] * 3
    assert children[0].facts == {"avatar.tokens": 7}
    assert whole.facts == {"avatar.attempt": 1, "avatar.frames": 9}
    assert "secret" not in repr(spans)


def test_a_stage_that_runs_again_is_another_span() -> None:
    spans = Recorder()
    stages = StageSpans(spans, {})
    for _ in range(2):
        told(stages, "speech", "seconds", 2)
        stages.hear(StageEvent("speech", "seconds", 2, finished=True))
    stages.end({})
    assert [each.name for each in spans.made] == ["session", "speech", "speech"]


def test_what_was_under_way_fails_with_the_attempt() -> None:
    spans = Recorder()
    stages = StageSpans(spans, {})
    told(stages, "speech", "seconds", 2)
    stages.hear(StageEvent("speech", "seconds", 2, finished=True))
    told(stages, "render", "frames", 4)
    stages.end({}, "InferenceUnavailable")
    assert {each.name: each.ended for each in spans.made} == {
        "session": ["InferenceUnavailable"],
        "speech": [""],
        "render": ["InferenceUnavailable"],
    }
