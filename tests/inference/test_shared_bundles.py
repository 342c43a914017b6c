"""A folder of bundles as a cache before a gateway, which a stand-in of the same contract plays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bundle_gateway import TOKEN, BundleGateway, bundle_gateway
from tests.support.portraits import astronaut, save
from tests.support.renders import collect
from tests.support.sound import babble, pieces

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_inference import bundle_gateway as module
from avatar_inference.bundle import Box, Bundle
from avatar_inference.bundle_cache import folder_bytes, to_delete
from avatar_inference.bundle_gateway import GatewayBundles, SharedBundles
from avatar_inference.bundle_store import BundleStore
from avatar_inference.client import InferenceClient, Prepared, RenderConfig
from avatar_inference.server import ServerSettings, serve

FILES = ["pictures.mkv", "arrays.safetensors", "manifest.json"]
Store = Callable[..., BundleStore]


def make_bundle(seed: int = 0) -> Bundle:
    rng = np.random.default_rng(seed)
    return Bundle(
        name=f"face {seed}",
        engine="preview",
        width=96,
        height=64,
        times_us=[0, 40_000],
        boxes=[Box(1, 2, 40, 30)] * 2,
        masks=[np.full((30, 40), 255, np.uint8)] * 2,
        pictures=[rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(2)],
        arrays={"latents": rng.random(64)},
    )


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[BundleGateway]:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.02)
    with bundle_gateway() as made:
        yield made


@pytest.fixture
def store(gateway: BundleGateway, tmp_path: Path) -> Store:
    """Makes servers' stores, each with a folder of its own."""

    def make(name: str = "a", token: str = TOKEN, **more: int) -> BundleStore:
        shared = GatewayBundles(gateway.url, lambda: token)
        return BundleStore(tmp_path / name, memory_bytes=0, shared=shared, **more)

    return make


def portrait(folder: Path) -> bytes:
    return save(astronaut(), folder / "astronaut.png").read_bytes()


def hex_of(bundle: str) -> str:
    return bundle.removeprefix("sha256:")


def left(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_what_one_server_prepares_the_others_have(gateway: BundleGateway, store: Store) -> None:
    name = store("a").put(make_bundle())
    assert gateway.asked == ["HEAD manifest.json", *(f"PUT {file}" for file in FILES)]
    assert {key.split("/")[0] for key in gateway.objects} == {hex_of(name)}
    found = store("b").get(name)
    assert found.name == "face 0"
    assert np.array_equal(found.pictures[1], make_bundle().pictures[1])


def test_what_is_in_the_folder_is_not_asked_for(gateway: BundleGateway, store: Store) -> None:
    name = store("a").put(make_bundle())
    gateway.asked.clear()
    gateway.failures = [503] * 100
    assert store("a").get(name).name == "face 0"
    assert gateway.asked == []


def test_of_what_is_there_already_the_manifest_alone_is_sent_again(
    gateway: BundleGateway, store: Store
) -> None:
    store("a").put(make_bundle())
    gateway.asked.clear()
    store("b").put(make_bundle())
    assert gateway.asked == ["HEAD manifest.json", "PUT manifest.json"]


def test_nobody_has_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store().get(f"sha256:{'0' * 64}")
    assert caught.value.reason is Reason.AVATAR_NOT_FOUND
    assert left(tmp_path / "a") == set()


@pytest.mark.parametrize(
    ("failures", "token", "reason"),
    [
        ([503] * 100, TOKEN, Reason.STORE_UNAVAILABLE),
        ([500] * 100, TOKEN, Reason.STORE_UNAVAILABLE),
        ([429] * 100, TOKEN, Reason.STORE_UNAVAILABLE),
        ([], "another", Reason.STORE_DENIED),
        ([403], TOKEN, Reason.STORE_DENIED),
        ([507], TOKEN, Reason.STORE_FULL),
    ],
)
def test_refusals_are_typed(
    gateway: BundleGateway, store: Store, tmp_path: Path, failures: list[int], token: str, reason: Reason
) -> None:
    name = store("a").put(make_bundle())
    for work in (lambda s: s.get(name), lambda s: s.put(make_bundle(1))):
        gateway.failures = list(failures)
        with pytest.raises(AvatarError) as caught:
            work(store("b", token))
        assert caught.value.reason is reason
        assert "another" not in str(caught.value), "a token must not be told"
    assert left(tmp_path / "b") == set(), "what could not be shared is not kept"


def test_no_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    shared = GatewayBundles("http://127.0.0.1:1", lambda: TOKEN, tries=2)
    with pytest.raises(AvatarError) as caught:
        BundleStore(tmp_path, shared=shared).get(f"sha256:{'0' * 64}")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


def test_a_hiccup_is_passed_over(gateway: BundleGateway, store: Store) -> None:
    gateway.failures = [503, 502]
    name = store("a").put(make_bundle())
    gateway.failures, gateway.cut = [503], 5000
    assert store("b").get(name).name == "face 0"
    assert gateway.cut is None, "no download broke off"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["flipped", "longer", "shorter"])
def test_damage_is_found(
    gateway: BundleGateway, store: Store, tmp_path: Path, file: str, damage: str
) -> None:
    name = store("a").put(make_bundle())
    key = f"{hex_of(name)}/{file}"
    body = gateway.objects[key]
    harmed = {
        "flipped": bytes([body[0] ^ 1]) + body[1:],
        "longer": body + b"x" * 9_000_000,
        "shorter": body[:-1],
    }
    gateway.objects[key] = harmed[damage]
    with pytest.raises(InvalidInputError) as caught:
        store("b").get(name)
    assert caught.value.reason is Reason.AVATAR_INVALID
    assert left(tmp_path / "b") == set()


def test_a_damaged_copy_is_fetched_anew(store: Store, tmp_path: Path) -> None:
    name = store("a").put(make_bundle())
    file = tmp_path / "a" / hex_of(name) / "arrays.safetensors"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    assert store("a").get(name).name == "face 0"


def test_the_longest_unused_go_first(store: Store, tmp_path: Path) -> None:
    names = [store("a").put(make_bundle(seed)) for seed in range(5)]
    size = folder_bytes(tmp_path / "a" / hex_of(names[0]))
    small = store("b", disk_bytes=int(3.2 * size))
    for name in (*names[:3], names[0], names[3], names[4]):
        small.get(name)
    assert left(tmp_path / "b") == {hex_of(names[at]) for at in (0, 3, 4)}
    again = store("b", disk_bytes=int(3.2 * size))  # after a restart
    again.get(names[0])
    again.get(names[1])
    assert left(tmp_path / "b") == {hex_of(names[at]) for at in (0, 1, 4)}


def test_what_is_prepared_takes_room_too(store: Store, tmp_path: Path) -> None:
    first = store("a").put(make_bundle())
    small = store("b", disk_bytes=int(1.5 * folder_bytes(tmp_path / "a" / hex_of(first))))
    small.get(first)
    second = small.put(make_bundle(1))
    assert left(tmp_path / "b") == {hex_of(second)}
    assert small.get(first).name == "face 0", "what went is fetched again"


def test_a_bundle_in_use_stays(store: Store, tmp_path: Path) -> None:
    names = [store("a").put(make_bundle(seed)) for seed in range(3)]
    tiny = store("b", disk_bytes=1)
    drawn = tiny.get(names[0])
    tiny.get(names[1])
    tiny.get(names[2])
    assert left(tmp_path / "b") == {hex_of(names[0]), hex_of(names[2])}
    assert drawn.name == "face 0"
    del drawn
    tiny.get(names[1])
    assert left(tmp_path / "b") == {hex_of(names[1])}


def test_halves_of_a_killed_server_go(store: Store, tmp_path: Path) -> None:
    for name in (".new-x", ".old-x"):
        shutil.copytree(Path(__file__).parent / "preview", tmp_path / "a" / name)
    store("a")
    assert left(tmp_path / "a") == set()


Sizes = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 100), max_size=8)


@given(Sizes, st.integers(0, 200), st.integers(0, 400), st.sets(st.text("abcdef", min_size=1, max_size=3)))
def test_no_more_goes_than_must(sizes: dict[str, int], needed: int, limit: int, used: set[str]) -> None:
    gone = to_delete(sizes, needed, limit, lambda name: name not in used)
    assert not set(gone) & used
    assert gone == [name for name in sizes if name in gone], "the longest unused first"
    kept = sum(sizes.values()) - sum(sizes[name] for name in gone)
    if kept + needed > limit:
        assert set(sizes) - set(gone) <= used, "all that may go went"
    elif gone:
        assert kept + sizes[gone[-1]] + needed > limit, "one less would have done"
    older = list(sizes)[: list(sizes).index(gone[-1])] if gone else []
    assert all(name in used or name in gone for name in older)


async def test_a_photograph_prepared_by_one_server_is_drawn_by_another(
    gateway: BundleGateway, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    shared = SharedBundles(gateway.url, tmp_path / "token")
    settings = [
        ServerSettings(port=0, bundle_store=tmp_path / name, shared_bundles=shared) for name in ("a", "b")
    ]
    async with serve(settings[0]) as one, serve(settings[1]) as other:
        async with InferenceClient(one.target) as client:
            events = [event async for event in client.prepare(pieces(portrait(tmp_path), 100_000))]  # type: ignore[arg-type]
        assert isinstance(events[-1], Prepared)
        config = RenderConfig(sample_rate=16_000, avatar=events[-1].avatar)
        async with InferenceClient(other.target) as client:
            assert (await collect(client, config, pieces(babble(0.3, 16_000)))).result


async def test_a_preparation_fails_when_it_can_not_be_shared(gateway: BundleGateway, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    shared = SharedBundles(gateway.url, tmp_path / "token")
    settings = ServerSettings(port=0, bundle_store=tmp_path / "a", shared_bundles=shared)
    async with serve(settings) as running, InferenceClient(running.target) as client:
        with pytest.raises(AvatarError) as caught:
            async for _ in client.prepare(pieces(portrait(tmp_path), 100_000)):  # type: ignore[arg-type]
                pass
    assert caught.value.reason is Reason.STORE_DENIED


async def test_a_gateway_without_an_address_is_refused_at_once(tmp_path: Path) -> None:
    shared = SharedBundles("gateway:8082", tmp_path / "token")
    with pytest.raises(InvalidInputError, match="http://"):
        async with serve(ServerSettings(port=0, bundle_store=tmp_path, shared_bundles=shared)):
            pass
