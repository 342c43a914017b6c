"""Which of several servers is asked to draw."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.errors import InferenceError, InvalidInputError, Reason
from avatar_inference import replicas as module
from avatar_inference.admission import Limits
from avatar_inference.listening import Tls
from avatar_inference.replicas import FEW, Load, Replicas, batches, least_loaded, resolve
from avatar_inference.server import Running, ServerSettings, serve
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc

NOWHERE = "127.0.0.1:1"
Targets = st.lists(st.text("abc", min_size=1, max_size=2), unique=True, max_size=20)
Loads = st.builds(Load, st.integers(0, 64), st.integers(0, 9), st.integers(0, 64), st.booleans())


@given(Targets, st.sets(st.text("abc", min_size=1, max_size=2)), st.integers())
def test_everybody_is_asked_once_and_the_avoided_last(
    targets: list[str], avoided: set[str], seed: int
) -> None:
    found = batches(targets, avoided, random.Random(seed))
    order = [target for batch in found for target in batch]
    assert sorted(order) == sorted(targets)
    assert [t in avoided for t in order] == sorted(t in avoided for t in order)
    assert all(len(batch) <= FEW and len({t in avoided for t in batch}) == 1 for batch in found)
    fresh = [t for t in targets if t not in avoided]
    if len(fresh) > FEW:
        assert len(found[0]) == 2


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), Loads))
def test_nobody_is_less_busy_than_the_chosen(loads: dict[str, Load]) -> None:
    chosen = least_loaded(loads)
    ready = {target: load for target, load in loads.items() if not load.draining}
    assert (chosen is None) == (not ready)
    if chosen is None:
        return
    mine = ready[chosen]
    for other in ready.values():
        if (mine.waiting > 0) == (other.waiting > 0):
            mine_of = (mine.active + mine.waiting) * max(1, other.most)
            assert mine_of <= (other.active + other.waiting) * max(1, mine.most)
        else:
            assert not mine.waiting


@given(st.integers())
def test_two_choices_spread_what_comes_at_once(seed: int) -> None:
    """A hundred who choose one after the other, of ten: nobody gets many more than others."""
    dice, loads = random.Random(seed), {f"s{n}": Load(0, 0, 64) for n in range(10)}
    for _ in range(100):
        batch = batches(list(loads), (), dice)[0]
        chosen = least_loaded({target: loads[target] for target in batch})
        assert chosen
        loads[chosen] = replace(loads[chosen], active=loads[chosen].active + 1)
    assert max(load.active for load in loads.values()) <= 15


async def test_addresses() -> None:
    assert await resolve("inference:50051") == {"inference:50051": ""}
    assert await resolve("a:1, b:2,unix:/run/x") == {"a:1": "", "b:2": "", "unix:/run/x": ""}
    found = await resolve("dns:///localhost:50051")
    assert found["127.0.0.1:50051"] == "localhost"
    assert set(found) <= {"127.0.0.1:50051", "[::1]:50051"}
    assert await resolve("dns:///[::1]:7") == {"[::1]:7": "[::1]"}


@pytest.mark.parametrize("address", ["", "a:1,,b:2", "dns:///", "dns:///name", "dns:///name:http"])
async def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InvalidInputError, match="must be"):
        await resolve(address)


async def test_a_name_without_addresses() -> None:
    with pytest.raises(InferenceError) as caught:
        async with Replicas("dns:///nobody.invalid:50051").connect():
            raise AssertionError
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[Running]]:
    settings = ServerSettings(port=0, bundle_store=tmp_path, limits=Limits(10, 10, 2**31))
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serve(settings)) for _ in range(3)]


async def chosen(replicas: Replicas) -> str:
    async with replicas.connect() as client:
        return client.target


async def failing(replicas: Replicas, reason: Reason, seen: list[str]) -> None:
    async with replicas.connect() as client:
        seen.append(client.target)
        raise InferenceError(reason, "no", retry_after=60)


async def test_one_address_is_not_asked_first() -> None:
    assert await chosen(Replicas(NOWHERE)) == NOWHERE


async def test_who_is_draining_or_gone_is_not_chosen(three: list[Running]) -> None:
    targets = [each.target for each in three]
    replicas = Replicas(",".join([NOWHERE, *targets]))
    assert {await chosen(replicas) for _ in range(12)} <= set(targets)
    three[0].parts.door.draining = three[1].parts.door.draining = True
    assert {await chosen(replicas) for _ in range(5)} == {targets[2]}
    three[2].parts.door.draining = True
    with pytest.raises(InferenceError) as caught:
        await chosen(replicas)
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE


@pytest.mark.parametrize("reason", [Reason.OVERLOADED, Reason.INFERENCE_UNAVAILABLE])
async def test_after_a_failure_others_come_first(three: list[Running], reason: Reason) -> None:
    targets = [each.target for each in three]
    replicas = Replicas(",".join(targets))
    seen: list[str] = []
    errors: list[float | None] = []
    for _ in range(4):
        with pytest.raises(InferenceError) as caught:
            await failing(replicas, reason, seen)
        assert caught.value.reason is reason
        errors.append(caught.value.retry_after)
    assert set(seen[:3]) == set(targets)
    assert errors == [None, None, 60, 60], "only when all have failed is it of use to wait"


async def test_other_errors_say_nothing_about_the_server(three: list[Running]) -> None:
    replicas = Replicas(",".join(each.target for each in three))
    seen: list[str] = []
    for _ in range(30):
        with pytest.raises(InferenceError):
            await failing(replicas, Reason.CANCELLED, seen)
    assert set(seen) == {each.target for each in three}
    assert replicas._avoided_now() == set()


class Mute(pb_grpc.LipSyncServiceServicer):
    """A server too busy to answer."""

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: object) -> object:
        await asyncio.sleep(60)
        raise AssertionError


async def test_who_does_not_answer_is_the_last_resort(
    three: list[Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.3)
    mute = grpc.aio.server()
    pb_grpc.add_LipSyncServiceServicer_to_server(Mute(), mute)
    target = f"127.0.0.1:{mute.add_insecure_port('127.0.0.1:0')}"
    await mute.start()
    try:
        assert await chosen(Replicas(f"{NOWHERE},{target}")) == target
        monkeypatch.setattr(module, "ASK_SECONDS", 5)
        answering = three[0].target
        asked = asyncio.create_task(chosen(Replicas(f"{target},{answering}")))
        assert await asked == answering
    finally:
        await mute.stop(0)


async def test_tls_by_the_name_of_the_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with serve(ServerSettings(port=0, bundle_store=tmp_path, tls=tls)) as running:
        port, roots = running.target.rpartition(":")[2], authority.cert_pem.bytes()
        async with Replicas(f"dns:///localhost:{port}", root_certificates=roots).connect() as client:
            assert (await client.info(timeout=30)).engine == "preview"
