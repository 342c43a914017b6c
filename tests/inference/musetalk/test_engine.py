"""The engine with small random weights, by itself and behind the real server."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.support.landmarks import ASTRONAUT, given
from tests.support.portraits import astronaut, save
from tests.support.renders import Rendered, collect
from tests.support.sound import babble

from avatar_core.errors import REASONS, AvatarError, InvalidInputError, Reason, WeightsError
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_store import BundleStore
from avatar_inference.client import FLUSH, Flush, InferenceClient, RenderConfig
from avatar_inference.engine import EngineFrame, PrepareOptions, RepaintOptions
from avatar_inference.musetalk.engine import LATENTS_ARRAY, RANDOM_WEIGHTS, MuseTalkEngine
from avatar_inference.musetalk.hearing import Encoded, Hearing
from avatar_inference.musetalk.model import MouthModel
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.musetalk.weights import open_weights
from avatar_inference.musetalk.windows import Windows
from avatar_inference.server import Running, ServerSettings, serve

FPS = Fraction(12)
CONFIG = RenderConfig(16_000, fps=FPS, batch_size=2, lead_in_ms=0, tail_ms=0)


def on_cpu(weights: Path, **others: Any) -> MuseTalkSettings:
    return MuseTalkSettings(weights=weights, device="cpu", **others)


@pytest.fixture(scope="module")
def engine(tiny_weights: Path) -> Iterator[MuseTalkEngine]:
    made = MuseTalkEngine(on_cpu(tiny_weights), 4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bundle(engine: MuseTalkEngine, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """256 pixels square of the portrait, its landmarks given."""
    photo = save(astronaut()[:256, 100:356], tmp_path_factory.mktemp("portrait") / "portrait.png")
    repaint = RepaintOptions(landmarks=given(ASTRONAUT - (100, 0)))
    options = PrepareOptions("portrait", repaint=repaint)
    return engine.prepare(photo, options, lambda stage, done, total: None).bundle


@pytest.fixture(scope="module")
def store(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of bundles and the id of the one in it."""
    folder = tmp_path_factory.mktemp("bundles")
    return folder, BundleStore(folder).put(bundle)


@asynccontextmanager
async def serving(
    store: Path, musetalk: MuseTalkSettings, max_batch: int = 4
) -> AsyncIterator[tuple[Running, InferenceClient]]:
    settings = ServerSettings(
        port=0, engine="musetalk", musetalk=musetalk, max_batch=max_batch, bundle_store=store
    )
    async with serve(settings) as running, InferenceClient(running.target) as client:
        yield running, client


async def spoken(pcm: bytes, size: int, flushes: tuple[int, ...] = ()) -> AsyncIterator[bytes | Flush]:
    """The sound in pieces of `size` bytes, cut also where flushes are."""
    at = 0
    for until in (*flushes, len(pcm)):
        while at < until:
            piece = pcm[at : min(at + size, until)]
            yield piece
            at += len(piece)
        if until < len(pcm):
            yield FLUSH


def with_latents(latents: NDArray[Any] | None) -> Callable[[Bundle], Bundle]:
    return lambda bundle: replace(bundle, arrays={} if latents is None else {LATENTS_ARRAY: latents})


FOREIGN: dict[str, tuple[Callable[[Bundle], Bundle], str]] = {
    "another engine's": (lambda bundle: replace(bundle, engine="preview"), "prepared by engine 'preview'"),
    "no latents": (with_latents(None), "missing"),
    "misshaped": (with_latents(np.zeros((1, 4, 32, 32), np.float16)), r"\(1, 4, 32, 32\)"),
    "too few": (with_latents(np.zeros((0, 8, 32, 32), np.float16)), r"\(0, 8, 32, 32\)"),
    "float32": (with_latents(np.zeros((1, 8, 32, 32), np.float32)), "float32"),
    "not a number": (with_latents(np.full((1, 8, 32, 32), np.nan, np.float16)), "finite"),
    "infinite": (with_latents(np.full((1, 8, 32, 32), np.inf, np.float16)), "finite"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_bundles_that_are_not_its_own_or_not_whole_are_refused(
    case: str, engine: MuseTalkEngine, bundle: Bundle
) -> None:
    change, words = FOREIGN[case]
    with pytest.raises(InvalidInputError, match=words) as caught:
        engine.load(change(bundle))
    assert caught.value.reason is Reason.AVATAR_INVALID


def test_what_it_prepares_it_draws(engine: MuseTalkEngine, bundle: Bundle) -> None:
    avatar = engine.load(bundle)
    listener = engine.features(FPS, live=False)
    sound = np.frombuffer(babble(0.5, 16_000), np.int16).astype(np.float32) / 32_768
    features = [*listener.push(sound), *listener.flush(6, last=True)]
    crops = engine.render([EngineFrame(avatar, 0, feature) for feature in features])
    assert (crops.shape, crops.dtype) == ((6, 256, 256, 3), np.uint8)
    assert engine.stretch(crops[0], 91, 120).shape == (120, 91, 3)
    # Sound moves the mouth; the rest is random weights' noise.
    assert np.abs(crops[1].astype(int) - crops[4]).max() > 3


async def test_live_is_refused_where_windows_wait_for_30_seconds(
    tiny_weights: Path, store: tuple[Path, str]
) -> None:
    settings = on_cpu(tiny_weights, windows=Windows.UPSTREAM)
    pcm = babble(0.4, 16_000)
    async with serving(store[0], settings) as (_, client):
        config = replace(CONFIG, avatar=store[1])
        with pytest.raises(InvalidInputError, match="OFFLINE") as caught:
            await collect(client, replace(config, live=True), spoken(pcm, 3_200))
        assert (caught.value.reason, caught.value.field) == (Reason.INVALID_ARGUMENT, "config.pace")
        rendered = await collect(client, config, spoken(pcm, 3_200))
    assert rendered.result
    assert (rendered.result.frames, rendered.result.audio_windows) == (5, "upstream")


async def test_missing_weights_are_told_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="avatar weights fetch") as caught:
        async with serving(tmp_path / "bundles", on_cpu(tmp_path / "nothing")):
            pass
    assert caught.value.reason is Reason.WEIGHTS_MISSING


def hearing_threads() -> int:
    return sum(thread.name == "hearing" for thread in threading.enumerate())


async def test_a_server_that_does_not_come_up_lets_its_engine_go(tiny_weights: Path, tmp_path: Path) -> None:
    before = hearing_threads()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServerSettings(
            port=taken.getsockname()[1],
            engine="musetalk",
            musetalk=on_cpu(tiny_weights),
            bundle_store=tmp_path,
        )
        with pytest.raises(AvatarError, match="can't listen"):
            async with serve(settings):
                pass
    assert hearing_threads() == before


def test_an_engine_that_finds_no_room_to_draw_leaves_no_thread(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: MouthModel, batches: object) -> None:
        raise torch.OutOfMemoryError

    before = hearing_threads()
    monkeypatch.setattr(MouthModel, "warm_up", full)
    with pytest.raises(torch.OutOfMemoryError):
        MuseTalkEngine(on_cpu(tiny_weights), 4)
    assert hearing_threads() == before


@pytest.mark.slow
def test_the_command_ends_with_missing_weights(tmp_path: Path) -> None:
    command = [
        "serve",
        "--engine",
        "musetalk",
        "--weights",
        str(tmp_path / "nothing"),
        "--port",
        "0",
        "--no-metrics",
    ]
    run = subprocess.run(
        [sys.executable, "-m", "avatar_cli", *command],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == REASONS[Reason.WEIGHTS_MISSING].exit_code == 19
    assert "avatar weights fetch --folder" in run.stderr
    assert "WeightsMissing" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so cuda is no wrong device")
def test_a_gpu_that_is_not_there_is_named(tiny_weights: Path) -> None:
    with pytest.raises(InvalidInputError, match="cpu, or auto") as caught:
        MuseTalkEngine(MuseTalkSettings(weights=tiny_weights, device="cuda"), 4)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_ARGUMENT, "device")


def test_fp16_is_not_for_a_cpu(tiny_weights: Path) -> None:
    with pytest.raises(InvalidInputError, match="choose fp32") as caught:
        MuseTalkEngine(on_cpu(tiny_weights, precision="fp16"), 4)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_ARGUMENT, "precision")


@pytest.mark.slow
@pytest.mark.parametrize("live", [False, True])
async def test_the_same_sound_and_flushes_give_the_same_bytes(
    live: bool, tiny_weights: Path, store: tuple[Path, str]
) -> None:
    """Frames are drawn one by one here: which share a batch is a matter of time, and shows in last bits."""
    pcm = babble(1.4, 16_000)
    config = replace(CONFIG, avatar=store[1], live=live)

    async def draw(size: int, flush: int) -> bytes:
        # A server each: one that knows how slow it is promises no second LIVE stream on a small machine.
        async with serving(store[0], on_cpu(tiny_weights)) as (_, client):
            return (await collect(client, config, spoken(pcm, size, (flush,)))).fragments

    once, again, other = await draw(len(pcm), 17_000), await draw(1_234, 17_000), await draw(1_234, 9_000)
    assert len(once) > 5_000
    assert once == again
    assert once != other  # a flush elsewhere ends windows elsewhere


Drawn = tuple[torch.Tensor, NDArray[np.uint8]]


async def test_one_stream_alone_and_among_four_has_the_same_crops(
    tiny_weights: Path, store: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Drawn] = []
    batches: list[int] = []
    plain = MuseTalkEngine.render

    def watched(self: MuseTalkEngine, frames: list[EngineFrame]) -> NDArray[np.uint8]:
        crops = plain(self, frames)
        batches.append(len(frames))
        drawn.extend(zip((frame.feature for frame in frames), crops.copy(), strict=True))
        return crops

    monkeypatch.setattr(MuseTalkEngine, "render", watched)
    sounds = [babble(0.8, 16_000, seed) for seed in range(4)]
    config = replace(CONFIG, avatar=store[1])

    async def render(sound: bytes) -> Rendered:
        return await collect(client, config, spoken(sound, 5_000))

    async with serving(store[0], on_cpu(tiny_weights)) as (_, client):
        alone = await render(sounds[0])
        by_itself = drawn.copy()
        drawn.clear()
        batches.clear()
        together = await asyncio.gather(*map(render, sounds))
    assert [each.result.frames for each in together if each.result] == [10] * 4
    assert alone.result
    assert (len(by_itself), len(drawn)) == (10, 40)
    assert max(batches) == 4
    for feature, crop in by_itself:
        same = [other for tokens, other in drawn if torch.equal(feature, tokens)]
        assert len(same) == 1
        assert np.array_equal(crop, same[0])


async def test_streams_that_listen_on_a_gpu_share_batches_however_few_processors_there_are(
    tiny_weights: Path, store: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    plain = Hearing._encode

    def slow(self: Hearing, batch: Sequence[Any]) -> list[Encoded]:
        until = time.monotonic() + 10
        while not batches and self._wanted.qsize() < 8 - len(batch) and time.monotonic() < until:
            time.sleep(0.01)  # the first is at work as long as it takes the others to come
        batches.append(len(batch))
        return plain(self, batch)

    def as_on_a_gpu(settings: ServerSettings) -> MuseTalkEngine:
        made = MuseTalkEngine(settings.musetalk, settings.max_batch)
        made.receipt = replace(made.receipt, accelerated=True)
        made._hearing._batch_max = 8
        return made

    monkeypatch.setattr(Hearing, "_encode", slow)
    monkeypatch.setattr("avatar_inference.server.make_engine", as_on_a_gpu)
    monkeypatch.setattr("avatar_inference.server._cores", lambda: 2)
    config = replace(CONFIG, avatar=store[1])
    async with serving(store[0], on_cpu(tiny_weights)) as (_, client):
        await asyncio.gather(*(collect(client, config, spoken(babble(0.2, 16_000), 6_400)) for _ in range(8)))
    assert sum(batches) == 8
    assert len(batches) == 2


async def test_the_receipt_says_what_drew_it(tiny_weights: Path, store: tuple[Path, str]) -> None:
    async with serving(store[0], on_cpu(tiny_weights)) as (_, client):
        info = await client.info()
        config = replace(CONFIG, avatar=store[1], fps=Fraction(30_000, 1_001))
        rendered = await collect(client, config, spoken(babble(0.5, 16_000), 8_000))
    assert (info.engine, list(info.builtin_avatars), list(info.notes)) == ("musetalk", [], [RANDOM_WEIGHTS])
    accepted, result = rendered.accepted, rendered.result
    assert accepted
    assert result
    assert (accepted.engine, accepted.avatar, accepted.fps) == ("musetalk", store[1], Fraction(30_000, 1_001))
    assert result.weights == dict(open_weights(tiny_weights).sha256)
    assert {"unet", "vae", "whisper"} <= set(result.weights)
    assert result.audio_windows == "aligned"
    assert result.gpu_seconds == 0
    assert RANDOM_WEIGHTS in result.notes
    assert result.timings.engine > 0
    assert result.timings.features > 0


async def test_there_is_no_default_avatar(tiny_weights: Path, store: tuple[Path, str]) -> None:
    async with serving(store[0], on_cpu(tiny_weights)) as (_, client):
        for name in ("", "ava"):
            with pytest.raises(AvatarError, match="avatar prepare FILE") as caught:
                await collect(client, replace(CONFIG, avatar=name), spoken(babble(0.2, 16_000), 3_200))
            assert (caught.value.reason, caught.value.field) == (Reason.AVATAR_NOT_FOUND, "config.avatar_id")


async def test_a_bundle_of_the_preview_engine_is_refused(
    tiny_weights: Path, tmp_path: Path, bundle: Bundle
) -> None:
    name = BundleStore(tmp_path).put(replace(bundle, engine="preview"))
    async with serving(tmp_path, on_cpu(tiny_weights)) as (_, client):
        with pytest.raises(AvatarError, match="engine 'preview'") as caught:
            await collect(client, replace(CONFIG, avatar=name), spoken(babble(0.2, 16_000), 3_200))
    assert caught.value.reason is Reason.AVATAR_INVALID


HEAVY = "torch diffusers transformers cv2"
_SERVE = """
import asyncio, sys
from pathlib import Path
from avatar_inference.client import InferenceClient, RenderConfig
from avatar_inference.server import ServerSettings, serve

async def sound():
    yield bytes(6400)

async def main():
    async with serve(ServerSettings(port=0, bundle_store=Path("bundles"))) as running:
        async with InferenceClient(running.target) as client:
            kinds = {type(event).__name__ async for event in client.render(RenderConfig(16000), sound())}
            assert "Result" in kinds, kinds

asyncio.run(main())
"""
_NO_WEIGHTS = """
import sys
from pathlib import Path
from avatar_core.errors import WeightsError
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.server import ServerSettings, make_engine

try:
    make_engine(ServerSettings(engine="musetalk", musetalk=MuseTalkSettings(weights=Path("none"))))
except WeightsError as error:
    assert error.reason == "WeightsMissing"
"""
_COMMAND = """
import sys
from avatar_cli.main import run
sys.argv = ["avatar", *{arguments!r}]
assert run() == 0
"""
_TELL = f"\nprint('loaded:', [name for name in '{HEAVY}'.split() if name in sys.modules])\n"


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_SERVE, id="preview server"),
        pytest.param(_NO_WEIGHTS, id="musetalk without weights"),
        pytest.param(_COMMAND.format(arguments=["--help"]), id="avatar --help"),
        pytest.param(_COMMAND.format(arguments=["serve", "--help"]), id="avatar serve --help"),
        pytest.param(_COMMAND.format(arguments=["weights", "list"]), id="avatar weights list"),
    ],
)
def test_nobody_else_pays_for_its_libraries(program: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", program + _TELL],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "loaded: []"
