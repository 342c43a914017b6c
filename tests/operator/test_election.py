"""At most one leads at any moment, by everybody's own clock; whoever can't renew stops by itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.cluster.kube import ConflictError, GoneError, Kube, KubeError
from avatar_operator.election import ADDRESS, Election, LeaseSettings, NotLeadingError

SETTINGS = LeaseSettings("ns", duration=15, deadline=10, period=2)


class Lease:
    """One Lease with optimistic locking, as an API server keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.down = False

    async def ask(self, verb: str, path: str, *, body: Mapping[str, Any] | None = None, **_: Any) -> Any:
        assert "leases" in path
        if self.down:
            raise KubeError(0, "Timeout", "no answer")
        if verb == "get":
            if self.stored is None:
                raise GoneError(404, "NotFound", "")
            return copy.deepcopy(self.stored)
        assert body is not None
        if verb == "create" and self.stored is not None:
            raise ConflictError(409, "AlreadyExists", "")
        if verb == "update":
            assert self.stored is not None
            if body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
                raise ConflictError(409, "Conflict", "")
        self.version += 1
        self.stored = copy.deepcopy(dict(body))
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.stored)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def candidate(lease: Lease, name: str, clock: Clock) -> Election:
    return Election(cast("Kube", lease), SETTINGS, name, f"http://{name}", clock)


async def test_the_first_leads_and_the_second_knows_where() -> None:
    lease, clock = Lease(), Clock()
    first, second = candidate(lease, "a", clock), candidate(lease, "b", clock)
    await first._try()
    await second._try()
    assert (first.leading, second.leading) == (True, False)
    assert second.leader_address == "http://a"
    first.check()
    with pytest.raises(NotLeadingError):
        second.check()


async def test_who_cannot_renew_stops_before_another_begins() -> None:
    lease, clock = Lease(), Clock()
    first, second = candidate(lease, "a", clock), candidate(lease, "b", clock)
    await first._try()
    await second._try()
    clock.now += SETTINGS.deadline
    assert not first.leading
    await second._try()
    assert not second.leading
    clock.now += SETTINGS.duration - SETTINGS.deadline
    await second._try()
    assert second.leading
    await first._try()
    assert not first.leading
    assert lease.stored is not None
    assert lease.stored["spec"]["leaseTransitions"] == 1
    assert lease.stored["metadata"]["annotations"][ADDRESS] == "http://b"


async def test_a_thawed_leader_does_not_lead_by_a_late_answer() -> None:
    """The time that counts is that of the question."""
    lease, clock = Lease(), Clock()
    first = candidate(lease, "a", clock)
    ask = lease.ask

    async def frozen(*args: Any, **kwargs: Any) -> Any:
        answer = await ask(*args, **kwargs)
        clock.now += 20
        return answer

    lease.ask = frozen  # type: ignore[method-assign]
    await first._try()
    assert not first.leading


async def test_release_hands_over_at_once() -> None:
    lease, clock = Lease(), Clock()
    first, second = candidate(lease, "a", clock), candidate(lease, "b", clock)
    await first._try()
    await second._try()
    await first.release()
    assert not first.leading
    await second._try()
    assert second.leading


async def test_run_ends_when_the_lease_cannot_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    lease, clock = Lease(), Clock()
    first = candidate(lease, "a", clock)

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        lease.down = clock.now > 104

    monkeypatch.setattr("avatar_operator.election.asyncio.sleep", sleep)
    await first.run()
    assert clock.now <= 104 + SETTINGS.deadline + SETTINGS.period
    assert not first.leading


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["try", "release", "down", "up"]), st.floats(0, 9)),
        max_size=60,
    )
)
async def test_never_two(steps: list[tuple[str, str, float]]) -> None:
    lease, clock = Lease(), Clock()
    candidates = {name: candidate(lease, name, clock) for name in "abc"}
    for name, step, seconds in steps:
        clock.now += seconds
        if step == "try":
            with suppress(KubeError):
                await candidates[name]._try()
        elif step == "release":
            await candidates[name].release()
        else:
            lease.down = step == "down"
        assert sum(one.leading for one in candidates.values()) <= 1
