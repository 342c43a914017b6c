"""The start of a leader: who holds a place, who is let in, and in what order, before anything is written."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.support.fake_operator import SETTINGS

from avatar_core.cluster.kube import Kube
from avatar_operator.applying import Applier
from avatar_operator.cache import Cache
from avatar_operator.line import Capacity, Line
from avatar_operator.memory import Memory
from avatar_operator.names import SESSION_UID, job_name
from avatar_operator.objects import SessionView
from avatar_operator.observed import Clean, CleanState
from avatar_operator.observing import Observer
from avatar_operator.sessions import Sessions
from avatar_operator.working import Keys

STARTING = {
    "type": "Succeeded",
    "status": "Unknown",
    "reason": "Starting",
    "message": "",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
    "observedGeneration": 1,
}


def leader(cache: Cache, line: Line, keys: Keys, memory: Memory | None = None) -> Sessions:
    nobody = cast("Kube", None)  # a start asks nothing of the API server
    memory = Memory() if memory is None else memory
    observer = Observer(nobody, cache, memory, line)
    return Sessions(cache, memory, line, observer, cast("Applier", None), SETTINGS, keys)


def begun(cache: Cache, places: int) -> tuple[list[str], Line]:
    """Uids in the order in which a new leader looks at them."""
    line = Line(Capacity(places, places))
    return list(leader(cache, line, Keys()).begin()), line


def put(cache: Cache, uid: str, second: int, **status: Any) -> None:
    metadata = {
        "name": uid,
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": f"2026-01-02T03:04:{second:02}Z",
        "finalizers": ["avatars.dev/store"],
    }
    document = {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession", "metadata": metadata}
    cache.put("avatarsessions", {**document, "spec": {"text": "a"}, "status": status})


def put_job(cache: Cache, uid: str) -> None:
    owner = {"uid": uid, "controller": True}
    labels = {SESSION_UID: uid, "avatars.dev/attempt": "1"}
    metadata = {
        "name": job_name(uid, 1),
        "namespace": "ns",
        "uid": f"job-{uid}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-02T03:05:00Z",
        "labels": labels,
        "ownerReferences": [owner],
    }
    cache.put("jobs", {"metadata": metadata, "spec": {}, "status": {}})


def test_the_oldest_are_let_in_and_looked_at_first() -> None:
    cache = Cache()
    for uid, second in (("c", 3), ("a", 1), ("d", 4), ("b", 2)):
        put(cache, uid, second)
    order, line = begun(cache, places=2)
    assert order == ["a", "b", "c", "d"]
    assert [line.shown(uid) for uid in "abcd"] == [None, None, 1, 2]


def test_attempts_under_way_keep_their_places_whatever_is_known_of_them() -> None:
    cache = Cache()
    put(cache, "waits", 1)
    put(cache, "runs", 2, attempt=1, jobName=job_name("runs", 1))
    put_job(cache, "runs")
    put(cache, "jobless", 3, attempt=1, jobName=job_name("jobless", 1))  # its Job may have vanished
    put(cache, "unrecorded", 4)
    put_job(cache, "unrecorded")
    order, line = begun(cache, places=3)
    assert (line.holding, line.waiting, line.admitted("waits")) == (3, 1, False)
    assert set(order) == {"waits", "runs", "jobless", "unrecorded"}
    assert line.shown("waits") == 1


def test_what_is_finished_takes_no_place() -> None:
    cache = Cache()
    over = {"type": "Succeeded", "status": "False", "reason": "Internal", "message": ""}
    over |= {"lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1}
    put(cache, "over", 1, conditions=[over], attempt=1, completedAt="2026-01-02T03:04:05Z")
    put(cache, "waits", 2)
    order, line = begun(cache, places=1)
    assert order == ["waits", "over"]
    assert (line.holding, line.waiting) == (1, 0)


def test_one_that_cannot_be_judged_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    judged = Observer.picture

    def fails(self: Observer, session: SessionView, *rest: Any, **more: Any) -> Any:
        if session.uid == "odd":
            raise ValueError(session.uid)
        return judged(self, session, *rest, **more)

    monkeypatch.setattr(Observer, "picture", fails)
    cache = Cache()
    put(cache, "odd", 1)
    put(cache, "waits", 2)
    order, line = begun(cache, places=1)
    assert order == ["waits", "odd"]
    assert line.admitted("waits")
    assert "no place in line" in caplog.text


async def test_where_there_are_places_new_sessions_come_first() -> None:
    cache, line, keys = Cache(), Line(Capacity(2, 2)), Keys()
    keys.open()
    put(cache, "runs", 1, attempt=1, jobName=job_name("runs", 1), conditions=[STARTING])
    put_job(cache, "runs")
    sessions = leader(cache, line, keys)
    sessions.begin()
    put(cache, "new", 2)
    sessions.news(["runs", "a provider", "new"])
    assert [await keys.take() for _ in range(3)] == ["new", "runs", "a provider"]
    line.hold("other", "ns")  # all places are taken: the new one has only to be told so
    for uid in ("new", "runs", "a provider"):
        keys.done(uid)
    sessions.news(["runs", "a provider", "new"])
    assert [await keys.take() for _ in range(3)] == ["runs", "a provider", "new"]


def test_who_never_leads_remembers_no_session_that_is_gone() -> None:
    cache, line, keys, memory = Cache(), Line(Capacity(2, 2)), Keys(), Memory()
    put(cache, "a", 1)
    follower = leader(cache, line, keys, memory)
    for uid in ("a", "gone"):
        memory.of(uid).clean = Clean(CleanState.DONE, 1)
    follower.news(["a", "gone"])
    assert (len(keys), len(memory)) == (0, 1)
    follower.news(cache.drop("avatarsessions", "a"))
    assert (len(keys), len(memory)) == (0, 0)
