"""What can be watched while a video is drawn: real renders, a real folder behind a real gateway."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import av
import pytest
from tests.gateway.conftest import FOLDER, UID, Gateway, gateway
from tests.session.test_cluster_run import Operator, Pod, ended, operator, pod, until

from avatar_core.errors import Reason, StoreError
from avatar_core.store import ObjectStore, Stored
from avatar_core.watching import WatchIndex, read_index
from avatar_inference.client import Video
from avatar_session import watching
from avatar_session.progress import StageEvent
from avatar_session.segments import Beginning, Cutter, Media
from avatar_session.watching import Watching

__all__ = ["gateway", "operator", "pod"]
LONG = "Hello, I am a talking face, and I have quite a lot to say today. " * 4
INIT = b"....avcC\x01\x64\x00\x16...."


def piece(kind: str, seconds: float = 0.2, *, key: bool = False, data: bytes = b"x") -> Video:
    return Video(kind, 0, 0, seconds, key, INIT if kind == "init" else data)  # type: ignore[arg-type]


def index_of(folder: Path) -> WatchIndex:
    return read_index((folder / "watch.json").read_bytes())


def segments_of(folder: Path) -> int:
    """So far, in the index."""
    if not (folder / "watch.json").exists():
        return 0
    return sum(len(each.segments) for each in index_of(folder).generations)


def whole(folder: Path) -> bytes:
    """The last generation in one piece."""
    last = index_of(folder).generations[-1]
    return b"".join((folder / name).read_bytes() for name in (last.init, *(s.name for s in last.segments)))


def test_segments_begin_with_keyframes_and_last_about_a_second() -> None:
    cutter = Cutter()
    (beginning,) = cutter.take(piece("init"))
    assert isinstance(beginning, Beginning)
    assert beginning.codecs == "avc1.640016,mp4a.40.2"
    found = [
        segment
        for number in range(25)
        for segment in cutter.take(
            piece("fragment", key=number % 5 == 0 or number == 7, data=bytes([number]))
        )
    ]
    found += cutter.rest()
    assert [segment.data for segment in found] == [bytes(range(i, i + 5)) for i in range(0, 25, 5)]
    assert all(isinstance(s, Media) and s.seconds == pytest.approx(1) for s in found)
    assert cutter.rest() == []


async def test_a_pods_video_can_be_watched_while_it_is_drawn(
    pod: Pod, operator: Operator, gateway: Gateway
) -> None:
    pod.document["spec"]["text"] = LONG
    folder = gateway.folder / FOLDER
    process = await pod.start()
    await until(process, (folder / "watch.json").exists)
    assert not (folder / "result.json").exists()
    assert not index_of(folder).ended
    assert (await ended(process))[0] == 0
    index = index_of(folder)
    assert index.ended
    assert len(index.generations) == 1
    with av.open(str(folder / "video.mp4")) as file:
        frames = sum(1 for _ in file.decode(video=0))
    (folder / "joined.mp4").write_bytes(whole(folder))
    with av.open(str(folder / "joined.mp4")) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in file.decode(video=0)) == frames
    total = sum(segment.seconds for segment in index.generations[0].segments)
    assert total == pytest.approx(
        json.loads((folder / "result.json").read_bytes())["video"]["seconds"], abs=0.01
    )
    assert all(0.8 < segment.seconds < 1.6 for segment in index.generations[0].segments[:-1])


async def test_a_pod_that_comes_after_another_goes_on_counting(
    pod: Pod, operator: Operator, gateway: Gateway
) -> None:
    pod.document["spec"]["text"] = LONG
    folder = gateway.folder / FOLDER
    process = await pod.start()
    await until(process, lambda: segments_of(folder) >= 1)
    process.kill()
    await process.wait()
    before = index_of(folder)
    first = {path: path.read_bytes() for path in folder.glob("watch-*-*")}
    assert (await pod.run())[0] == 0
    after = index_of(folder)
    assert len(after.generations) == 2
    assert after.generations[0].pod < after.generations[1].pod
    assert after.generations[0] == before.generations[0]
    assert after.generations[1].segments
    assert {path: path.read_bytes() for path in first} == first
    assert after.ended


async def test_a_failed_attempt_ends_what_is_watched(pod: Pod, gateway: Gateway, operator: Operator) -> None:
    pod.document["spec"] |= {"text": LONG, "timeoutSeconds": 10}
    folder = gateway.folder / FOLDER
    process = await pod.start()
    await until(process, (folder / "watch.json").exists)
    (folder / "video.mp4").mkdir()  # nothing can be put there
    code, _ = await ended(process)
    assert code != 0
    assert index_of(folder).ended


class Slow(ObjectStore):
    """A real folder that takes its time, or refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.go, self.refuses, self.indices = asyncio.Event(), False, 0

    async def put(self, key: str, source: object, content_type: str) -> Stored:
        await self.go.wait()
        if self.refuses:
            raise StoreError(Reason.STORE_FULL, "full")
        self.indices += key.endswith("watch.json")
        return await super().put(key, source, content_type)  # type: ignore[arg-type]


def feed(watched: Watching, segments: int, size: int = 10) -> None:
    watched.see(piece("init"))
    for number in range(segments * 5):
        watched.see(piece("fragment", key=number % 5 == 0, data=bytes(size)))


async def test_a_slow_store_holds_nothing_up_and_gets_fewer_indices(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    watched = Watching(store, f"ns/{UID}")
    feed(watched, 20)
    await asyncio.sleep(0.05)
    store.go.set()
    watched.hear(StageEvent("render", "frames", finished=True))
    watched.end()
    await watched.finish(20)
    index = index_of(tmp_path / FOLDER)
    assert (index.ended, len(index.generations[0].segments)) == (True, 20)
    assert store.indices <= 3


async def test_a_store_that_is_too_slow_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "WAITING_BYTES", 1000)
    store = Slow(tmp_path)
    watched = Watching(store, f"ns/{UID}")
    feed(watched, 100, 100)
    feed(watched, 100, 100)
    store.go.set()
    await watched.finish(20)
    assert [record.message for record in caplog.records] == [
        "the video can't be watched while it is drawn: the store is slower than the render"
    ]
    assert not (tmp_path / FOLDER / "watch.json").exists()


async def test_a_store_that_refuses_is_asked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Slow(tmp_path)
    store.refuses = True
    store.go.set()
    watched = Watching(store, f"ns/{UID}")
    feed(watched, 3)
    await watched.finish(20)
    feed(watched, 3)
    watched.hear(StageEvent("render", "frames", finished=True))
    watched.end()
    await watched.finish(20)
    assert len(caplog.records) == 1


async def test_a_damaged_index_ends_the_watching_alone(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    store.go.set()
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "watch.json").write_bytes(b"{")
    watched = Watching(store, f"ns/{UID}")
    feed(watched, 3)
    await watched.finish(20)
    assert (tmp_path / FOLDER / "watch.json").read_bytes() == b"{"


async def until_shown(folder: Path, segments: int) -> WatchIndex:
    async with asyncio.timeout(20):
        while segments_of(folder) < segments:
            await asyncio.sleep(0.01)
    return index_of(folder)


async def test_two_pods_at_once_never_mix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A node is lost and its pod goes on all the same, when the other one has begun."""
    caplog.set_level(logging.INFO)
    folder, store = tmp_path / FOLDER, ObjectStore(str(tmp_path))
    old, new = Watching(store, f"ns/{UID}"), Watching(store, f"ns/{UID}")
    feed_marked(old, b"old")
    before = await until_shown(folder, 2)
    feed_marked(new, b"new")
    both = await until_shown(folder, 4)
    feed_marked(old, b"old")
    await old.finish(20)
    feed_marked(new, b"new")
    new.hear(StageEvent("render", "frames", finished=True))
    new.end()
    await new.finish(20)
    after = index_of(folder)
    assert both.generations[0] == after.generations[0] == before.generations[0]
    assert [each.pod for each in after.generations[1:]] == [after.generations[-1].pod] * 2
    assert after.ended
    for each, mark in zip(after.generations, (b"old", b"new", b"new"), strict=True):
        assert {(folder / s.name).read_bytes()[:3] for s in each.segments} == {mark}
    assert [r.message for r in caplog.records] == [
        "the video can't be watched while it is drawn: another pod has begun it anew"
    ]


async def test_two_pods_that_begin_at_once_share_no_name(tmp_path: Path) -> None:
    """Neither had an index to see when it chose its numbers."""
    store = Slow(tmp_path)
    pods = [Watching(store, f"ns/{UID}", lambda now=now: now) for now in (1_800_000_000.0, 1_800_000_000.1)]
    for watched, mark in zip(pods, (b"old", b"new"), strict=True):
        feed_marked(watched, mark)
    await asyncio.sleep(0.05)
    store.go.set()
    for watched in reversed(pods):
        watched.hear(StageEvent("render", "frames", finished=True))
        watched.end()
        await watched.finish(20)
    index = index_of(tmp_path / FOLDER)
    assert index.generations[-1].pod == 1_800_000_000_100
    for each in index.generations:
        assert len({(tmp_path / FOLDER / s.name).read_bytes()[:3] for s in each.segments}) == 1
    names = [path.name for path in (tmp_path / FOLDER).glob("watch-*.m4s")]
    assert len(names) == 6


def feed_marked(watched: Watching, mark: bytes) -> None:
    """Two whole segments and what is left over, all of one mark."""
    watched.see(piece("init"))
    for number in range(11):
        watched.see(piece("fragment", key=number % 5 == 0, data=mark))
