"""The parts of the loop: keys, buckets, clean-ups and the cache."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.cluster.pace import Bucket
from avatar_operator.cache import Cache
from avatar_operator.cleaner import JobCleaner
from avatar_operator.cleanup_jobs import CleanupSettings, Folder, build_cleanup, folders_of
from avatar_operator.memory import Memory
from avatar_operator.objects import SessionView
from avatar_operator.observed import Clean, CleanState, Posted
from avatar_operator.status import Progress, Status
from avatar_operator.working import Keys


async def test_a_key_is_there_once_and_never_at_two_workers() -> None:
    keys = Keys()
    keys.open()
    keys.put(["a", "b", "a"])
    assert len(keys) == 2
    assert await keys.take() == "a"
    keys.put(["a"])
    assert await keys.take() == "b"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.take(), 0.01)
    keys.done("a")
    assert await asyncio.wait_for(keys.take(), 1) == "a"


async def test_some_keys_go_first() -> None:
    keys = Keys()
    keys.open()
    keys.put(["a", "b", "c", "d"])
    keys.put(["d", "c"], first=True)
    keys.put(["c"])
    assert len(keys) == 4
    assert [await keys.take() for _ in range(3)] == ["d", "c", "a"]
    keys.put(["a"], first=True)
    keys.done("a")
    assert [await keys.take() for _ in range(2)] == ["a", "b"]


async def test_a_worker_is_woken() -> None:
    keys = Keys()
    keys.open()
    waiting = asyncio.create_task(keys.take())
    await asyncio.sleep(0)
    keys.put(["a"])
    assert await asyncio.wait_for(waiting, 1) == "a"


def test_where_nobody_works_nothing_piles_up() -> None:
    keys = Keys()
    keys.put(["a", "b"])
    keys.put(["c"], first=True)
    assert len(keys) == 0


def test_a_bucket_fills_with_time() -> None:
    now = [0.0]
    bucket = Bucket(2, 3, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 1
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now[0] = 100
    assert sum(bucket.take() for _ in range(9)) == 3


def test_progress_is_written_once_a_second_and_dropped_when_there_is_no_room() -> None:
    memory = Memory(progress_rate=2)
    for uid in ("a", "b", "c"):
        memory.of(uid).progress = Posted(1, "render", Progress(1))
    assert memory.progress("a", None, 100)[0] is not None
    assert memory.progress("a", None, 100.5) == (None, 101)
    assert memory.progress("b", None, 100)[0] is not None
    assert memory.progress("c", None, 100) == (None, 101)
    assert memory.progress("a", memory.of("a").progress, 102) == (None, None)
    assert memory.progress("unknown", None, 100) == (None, None)


class Jobs:
    """Takes clean-up Jobs."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.down = False

    async def create(self, _: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.down:
            raise KubeError(500, "", "no")
        self.made.append(body)
        return {"metadata": {**body["metadata"], "uid": f"job{len(self.made)}"}}


def ended(job: dict[str, Any], kind: str) -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "message": "the store is down"}
    return {**job, "status": {"conditions": [condition]}}


@pytest.fixture
def cleaning(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("avatar_operator.cleaner.GATHER_SECONDS", 0.01)
    monkeypatch.setattr("avatar_operator.cleaner.RETRY_SECONDS", 0.02)
    jobs, memory, changed = Jobs(), Memory(), list[str]()
    settings = CleanupSettings("release", "image")
    cleaner = JobCleaner(cast("Kube", jobs), settings, memory, changed.append, lambda: None)
    return cleaner, jobs, memory, changed


def ask(cleaner: JobCleaner, memory: Memory, uid: str, *, alone: bool = False) -> None:
    memory.of(uid).clean = Clean(CleanState.RUNNING, 1, int(alone))
    cleaner.ask(SessionView("ns", uid, uid, status=Status(attempt=1)), alone=alone)


async def test_folders_share_jobs_and_at_most_four_run(cleaning: Any) -> None:
    cleaner, jobs, memory, changed = cleaning
    for number in range(1001):
        ask(cleaner, memory, f"u{number}")
    running = asyncio.create_task(cleaner.run())
    await asyncio.sleep(0.05)
    assert [len(folders_of(job)) for job in jobs.made] == [200] * 4
    cleaner.see("job1", ended(jobs.made[0], "Complete"))
    await asyncio.sleep(0.05)
    assert len(jobs.made) == 5
    assert memory.of("u0").clean.state is CleanState.DONE
    assert memory.of("u200").clean.state is CleanState.RUNNING
    assert len(changed) == 200
    running.cancel()


async def test_a_failed_folder_is_tried_again_alone(cleaning: Any) -> None:
    cleaner, jobs, memory, _ = cleaning
    running = asyncio.create_task(cleaner.run())
    ask(cleaner, memory, "a")
    ask(cleaner, memory, "b")
    await asyncio.sleep(0.05)
    cleaner.see("job1", ended(jobs.made[0], "Failed"))
    failed = memory.of("a").clean
    assert (failed.state, failed.tries) == (CleanState.FAILED, 1)
    assert "the store is down" in failed.message
    ask(cleaner, memory, "a", alone=True)
    ask(cleaner, memory, "b", alone=True)
    await asyncio.sleep(0.05)
    assert [len(folders_of(job)) for job in jobs.made] == [2, 1, 1]
    cleaner.see("job1", ended(jobs.made[0], "Failed"))
    assert memory.of("a").clean.state is CleanState.RUNNING
    running.cancel()


async def test_a_clean_up_that_cannot_be_made_for_a_while_is_made_later_and_for_all(cleaning: Any) -> None:
    cleaner, jobs, memory, changed = cleaning
    jobs.down = True
    running = asyncio.create_task(cleaner.run())
    for uid in "abc":
        ask(cleaner, memory, uid)
    await asyncio.sleep(0.02)
    jobs.down = False
    await asyncio.sleep(0.2)
    assert [[folder.uid for folder in folders_of(job)] for job in jobs.made] == [["a", "b", "c"]]
    assert changed == []
    running.cancel()


async def test_a_clean_up_that_can_never_be_made_has_failed_but_needs_no_job_of_its_own(
    cleaning: Any,
) -> None:
    cleaner, jobs, memory, changed = cleaning
    jobs.down = True
    running = asyncio.create_task(cleaner.run())
    ask(cleaner, memory, "a")
    await asyncio.sleep(0.3)
    known = memory.of("a").clean
    assert (known.state, known.alone, known.tries) == (CleanState.FAILED, False, 1)
    assert changed == ["a"]
    running.cancel()


def test_a_clean_up_job_of_another_namespace_is_nobody_s_word(cleaning: Any) -> None:
    cleaner, _, memory, changed = cleaning
    settings = CleanupSettings("elsewhere", "image")
    job = build_cleanup("avatar-cleanup-1", (Folder("ns", "a", 1),), settings)
    job["metadata"]["uid"] = "forged"
    cleaner.see("forged", job)
    cleaner.see("forged", ended(job, "Complete"))
    cleaner.see("forged", None)
    assert memory.of("a").clean == Clean()
    assert changed == []


def test_nothing_is_kept_of_a_session_that_is_gone() -> None:
    memory = Memory()
    settings, changed = CleanupSettings("release", "image"), list[str]()
    cleaner = JobCleaner(
        cast("Kube", None), settings, memory, changed.append, lambda: None, {"there"}.__contains__
    )
    job = build_cleanup("c", [Folder("ns", "there", 1), Folder("ns", "gone", 1)], settings)
    cleaner.see("job1", job)
    cleaner.see("job1", ended(job, "Complete"))
    assert (changed, len(memory)) == (["there"], 1)
    assert memory.of("there").clean.state is CleanState.DONE


def test_after_a_restart_clean_ups_are_known_by_their_jobs(cleaning: Any) -> None:
    cleaner, _, memory, _ = cleaning
    job = build_cleanup("c", [Folder("ns", "a", 3)], CleanupSettings("release", "image"))
    cleaner.see("job1", {**job, "status": {}})
    assert memory.of("a").clean == Clean(CleanState.RUNNING, 3)
    cleaner.see("job1", None)
    assert memory.of("a").clean.state is CleanState.NONE


def session(version: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarSession",
        "metadata": {
            "name": "s",
            "namespace": "ns",
            "uid": "u",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "finalizers": ["somebody.else/f"],
        },
        "spec": {"text": "a", **spec},
    }


def provider(version: int) -> dict[str, Any]:
    metadata = {**session(version)["metadata"], "name": "default", "uid": "p"}
    return {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarProvider",
        "metadata": metadata,
        "spec": {"llm": {"model": "m"}},
    }


def test_older_pictures_are_passed_over() -> None:
    cache = Cache()
    assert cache.put("avatarsessions", session(10, suspend=True)) == {"u"}
    assert cache.put("avatarsessions", session(9)) == set()
    assert cache.put("avatarsessions", session(10)) == set()
    found = cache.session("u")
    assert found is not None
    assert found.spec.suspend
    assert cache.others_finalizers("u") == ("somebody.else/f",)
    assert cache.drop("avatarsessions", "u") == {"u"}
    assert cache.uids == []


def test_a_provider_that_comes_wakes_who_waits_for_it() -> None:
    cache = Cache()
    cache.put("avatarsessions", session(1))
    assert cache.put("avatarproviders", provider(2)) == {"u", "p"}
    assert cache.provider("ns", "").has_llm
    assert cache.drop("avatarproviders", "p") == {"u", "p"}
    assert not cache.provider("ns", "").found


def test_one_unreadable_object_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache()
    assert (
        cache.put(
            "avatarsessions",
            {**session(1), "spec": None, "metadata": {**session(1)["metadata"], "creationTimestamp": "x"}},
        )
        == set()
    )
    assert "can't be read" in caplog.text
    assert cache.put("avatarsessions", session(2)) == {"u"}
