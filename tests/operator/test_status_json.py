"""What is written into a status is read back the same, and patches say no more than what changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.resources import SessionStatus
from avatar_operator.status import (
    Condition,
    Made,
    Progress,
    StageTime,
    Status,
    Timings,
    Usage,
    Video,
    VideoFile,
)
from avatar_operator.status_json import STAGES, from_stored, merge_patch, to_json

times = st.integers(1_600_000_000, 2_000_000_000)
counts = st.integers(0, 2**31)
amounts = st.floats(0, 1e6) | st.integers(0, 10**6)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
conditions = st.builds(
    Condition,
    st.just("Succeeded"),
    st.sampled_from(["True", "False", "Unknown"]),
    st.sampled_from(["Running", "OOMKilled"]),
    words,
    times,
    counts,
)
stage_times = st.lists(st.sampled_from(STAGES), unique=True).flatmap(
    lambda stages: st.tuples(
        *(
            st.builds(StageTime, st.just(stage), amounts, amounts, amounts)
            for stage in sorted(stages, key=STAGES.index)
        )
    )
)
files = st.builds(VideoFile, counts, st.just("ab" * 32), amounts, counts, st.just("15"), counts, counts)
statuses = st.builds(
    Status,
    phase=words,
    conditions=st.tuples(conditions),
    observed_generation=counts,
    stage=st.sampled_from(["", *STAGES]),
    progress=st.none() | st.builds(Progress, amounts, st.none() | amounts, st.integers(0, 100), words),
    queue_position=st.none() | counts,
    attempt=counts,
    job_name=words,
    lost_attempts=counts,
    observed_retry=counts,
    waiting_since=st.none() | times,
    started_at=st.none() | times,
    completed_at=st.none() | times,
    video=st.none() | st.builds(Video, words, times, st.none() | files),
    timings=st.none()
    | st.builds(Timings, st.none() | amounts, st.none() | amounts, amounts, amounts, stage_times),
    made=st.none()
    | st.builds(
        Made,
        words,
        st.booleans(),
        st.builds(Usage, counts, counts, st.booleans(), counts, amounts, amounts),
        words,
        st.sampled_from(["", "sha256:" + "ab" * 32]),
        words,
        st.lists(words, max_size=3).map(tuple),
    ),
)
values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def read(document: Any) -> Status:
    return from_stored(SessionStatus.model_validate(document))


@given(statuses)
def test_a_status_is_read_as_it_was_written(status: Status) -> None:
    assert read(to_json(status)) == status


def test_nothing_is_nothing() -> None:
    assert read({}) == Status()
    assert merge_patch(to_json(Status()), to_json(Status())) == {}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as the standard writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(objects, objects)
def test_a_patch_makes_one_of_the_other(before: Any, after: Any) -> None:
    assert merged(before, merge_patch(before, after)) == after
    assert merge_patch(after, after) == {}


@pytest.mark.parametrize("kept", ["phase", "attempt", "video"])
def test_what_stays_is_not_sent(kept: str) -> None:
    before = to_json(Status(phase="Running", attempt=1, video=Video("https://v", 1_700_000_000)))
    assert kept not in merge_patch(before, {**before, "stage": "render"})
