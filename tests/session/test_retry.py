"""When something is tried again, and when not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import REASONS, AvatarError, Reason
from avatar_session.retry import AttemptLostError, Deadline, RetryPolicy, retried

QUICK = RetryPolicy(tries=3, first=0.001, longest=0.002)
PASSING = Reason.LLM_UNAVAILABLE
FINAL = Reason.LLM_UNAUTHORIZED


@given(
    st.sampled_from(list(Reason)),
    st.integers(1, 10),
    st.none() | st.floats(0, 1000),
    st.floats(0, 1000),
)
def test_a_pause_ends_before_the_deadline_and_not_before_retry_after(
    reason: Reason, tried: int, retry_after: float | None, remaining: float
) -> None:
    policy = RetryPolicy(tries=5, first=0.5, longest=8)
    pause = policy.pause(tried, AvatarError(reason, "x", retry_after=retry_after), remaining)
    if not REASONS[reason].retry or tried >= 5:
        assert pause is None
    if pause is not None:
        assert (retry_after or 0) < pause < remaining
        assert pause <= (retry_after or 0) + 8


class Source:
    """Fails as told: a list of failures for each call, None is a success."""

    def __init__(self, *failures: tuple[int, Reason | None]) -> None:
        self.failures, self.calls, self.closed = list(failures), 0, 0

    async def items(self) -> AsyncGenerator[int, None]:
        self.calls += 1
        count, reason = self.failures.pop(0)
        try:
            for number in range(count):
                yield number
            if reason:
                raise AvatarError(reason, "as told")
        finally:
            self.closed += 1


async def collected(
    source: Source, seconds: float = 10, policy: RetryPolicy = QUICK
) -> tuple[list[int], list[str]]:
    told: list[str] = []
    found = [
        item
        async for item in retried(
            source.items, policy, Deadline.after(seconds), lambda error, pause: told.append(error.message)
        )
    ]
    return found, told


async def test_a_passing_failure_before_the_first_item_is_repeated() -> None:
    source = Source((0, PASSING), (0, PASSING), (3, None))
    assert await collected(source) == ([0, 1, 2], ["as told", "as told"])
    assert source.closed == source.calls == 3


async def test_but_not_for_ever() -> None:
    source = Source(*[(0, PASSING)] * 9)
    with pytest.raises(AvatarError):
        await collected(source)
    assert source.calls == 3


async def test_a_final_failure_is_final() -> None:
    source = Source((0, FINAL))
    with pytest.raises(AvatarError):
        await collected(source)
    assert source.calls == 1


async def test_a_passing_failure_after_the_first_item_loses_the_attempt() -> None:
    with pytest.raises(AttemptLostError) as caught:
        await collected(Source((1, PASSING)))
    assert caught.value.error.reason is PASSING


async def test_a_final_failure_after_the_first_item_stays_itself() -> None:
    with pytest.raises(AvatarError) as caught:
        await collected(Source((1, FINAL)))
    assert caught.value.reason is FINAL


async def test_no_try_begins_after_the_deadline() -> None:
    source = Source(*[(0, PASSING)] * 9)
    with pytest.raises(AvatarError):
        await collected(source, seconds=0.5, policy=RetryPolicy(tries=9, first=60))
    assert source.calls == 1


async def test_a_deadline_counts_down_to_nothing() -> None:
    deadline = Deadline.after(0.05)
    assert 0 < deadline.remaining() <= 0.05
    await asyncio.sleep(0.1)
    assert deadline.remaining() == 0
