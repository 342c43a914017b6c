"""Thirty sessions and three inference servers: shared by load, one told to end, one killed."""

from __future__ import annotations

import asyncio
import wave
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.support.inference_process import ServeProcess, serve_process
from tests.support.sessions import Run, job
from tests.support.sound import babble

from avatar_core.errors import InferenceError
from avatar_core.store import ObjectStore
from avatar_inference.client import Flush, InferenceClient, RenderConfig
from avatar_inference.replicas import Replicas
from avatar_session.receipt import Receipt

pytestmark = pytest.mark.slow
SESSIONS = 30


@dataclass
class Three:
    """Three servers, and sessions that know them by one address."""

    servers: list[ServeProcess]
    sound: Path
    store: ObjectStore
    went: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Targets by session, in order."""

    @property
    def address(self) -> str:
        return ",".join(server.target for server in self.servers)

    async def session(self, number: int) -> Receipt:
        """One of them, with a memory of its own, as a pod has."""
        await asyncio.sleep(number * 0.02)
        replicas = Replicas(self.address)

        @asynccontextmanager
        async def connect() -> AsyncIterator[InferenceClient]:
            async with replicas.connect() as client:
                self.went[number].append(client.target)
                yield client

        wanted = job(audio=str(self.sound), video={"fps": 12, "height": 128})
        return await Run(self.store, connect)(replace(wanted, uid=f"uid-{number}"))

    async def all_sessions(self) -> list[Receipt]:
        return await asyncio.gather(*map(self.session, range(SESSIONS)))

    async def until_busy(self, server: ServeProcess) -> None:
        """Until it draws something."""
        async with InferenceClient(server.target) as client, asyncio.timeout(60):
            while not (await client.info(timeout=30)).active_renders:
                await asyncio.sleep(0.01)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Three]:
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(babble(3.0, 16_000))
    flags = ["--max-renders", "12", "--drain-seconds", "120"]
    with ExitStack() as stack:
        servers = [stack.enter_context(serve_process(tmp_path / f"s{n}", *flags)) for n in range(3)]
        yield Three(servers, sound, ObjectStore(str(tmp_path / "store")))


def check(receipts: list[Receipt]) -> None:
    assert len(receipts) == SESSIONS
    assert {receipt.video.frames for receipt in receipts} == {receipts[0].video.frames}


async def test_they_are_shared_by_load(three: Three) -> None:
    check(await three.all_sessions())
    counts = Counter(target for targets in three.went.values() for target in targets)
    assert sum(counts.values()) == SESSIONS, "nothing had to be sent twice"
    # Far from even where the machine is busy: what servers tell of themselves is late then.
    assert min(counts[server.target] for server in three.servers) >= 2, counts
    assert sum(server.finished for server in three.servers) == SESSIONS


async def test_a_busy_server_gets_less(three: Three) -> None:
    busy, go_on = three.servers[0], asyncio.Event()

    async def held() -> AsyncIterator[bytes | Flush]:
        yield babble(0.5, 16_000)
        await go_on.wait()

    async def hold(client: InferenceClient) -> None:
        async for _ in client.render(RenderConfig(sample_rate=16_000, height=128), held()):
            pass

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(InferenceClient(busy.target))
        holding = [asyncio.create_task(hold(client)) for _ in range(11)]
        async with asyncio.timeout(60):
            while (await client.info(timeout=30)).active_renders < len(holding):
                await asyncio.sleep(0.05)
        check(await three.all_sessions())
        go_on.set()
        await asyncio.gather(*holding)
    counts = Counter(target for targets in three.went.values() for target in targets)
    others = [counts[server.target] for server in three.servers[1:]]
    assert counts[busy.target] < min(others), counts


async def test_a_server_that_is_told_to_end_finishes_what_it_has(three: Three) -> None:
    ending = three.servers[0]
    sessions = asyncio.create_task(three.all_sessions())
    await three.until_busy(ending)
    ending.process.terminate()
    check(await sessions)
    assert await asyncio.to_thread(ending.process.wait, 60) == 0
    assert ending.finished > 0
    late = [targets for targets in three.went.values() if ending.target in targets[:-1]]
    assert ending.finished + len(late) == sum(targets.count(ending.target) for targets in three.went.values())
    assert sum(server.finished for server in three.servers) == SESSIONS, "what was accepted was finished"


async def test_what_a_killed_server_drew_is_drawn_elsewhere(three: Three) -> None:
    killed = three.servers[0]
    sessions = asyncio.create_task(three.all_sessions())
    await three.until_busy(killed)
    killed.process.kill()
    check(await sessions)
    moved = [targets for targets in three.went.values() if killed.target in targets[:-1]]
    assert moved, "nothing was under way there"
    assert all(killed.target not in targets[1:] for targets in moved), "who failed is not asked again at once"


async def test_without_any_server_it_is_told_so(three: Three) -> None:
    for server in three.servers:
        server.process.kill()
        server.process.wait()
    with pytest.raises(InferenceError, match="none of 3 inference servers"):
        async with Replicas(three.address).connect():
            pass
