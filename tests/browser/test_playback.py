"""What Chromium makes of the fragments (by MSE) and of the published file (by its address)."""

from __future__ import annotations

from base64 import b64encode
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Page
from tests.support.colours import PATCHES, encode_patches, patch_values
from tests.support.flash_click import Clip, encode, find_click, write_fragments

from avatar_core.media.mp4 import remux
from avatar_core.timeline import samples_until
from avatar_inference.encoder import Chunk, Encoder, EncoderSettings

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TOLERANCE = 0.005
"""Seconds that are promised between picture, sound and the input's timeline."""
SELECTION = [
    Clip(0.05, Fraction(15), 24000),
    Clip(3.0, Fraction(15), 22050),
    Clip(3.0, Fraction(12), 48000, channels=2),
    Clip(3.0, Fraction(18), 16000),
    Clip(3.0, Fraction(25), 24000, lead_in_ms=0),
    Clip(3.0, Fraction(30000, 1001), 22050, lead_in_ms=0),
    pytest.param(Clip(600.0, Fraction(15), 24000), marks=pytest.mark.slow),
]


def name_of(clip: Clip) -> str:
    return f"{clip.seconds:g}s-{clip.fps}fps-{clip.rate}Hz-{clip.lead_in_ms}ms"


def mime_of(init: bytes) -> str:
    config = init.index(b"avcC") + 5
    return f'video/mp4; codecs="avc1.{init[config : config + 3].hex()},mp4a.40.2"'


async def open_by_mse(page: Page, chunks: list[Chunk]) -> dict[str, list]:
    pieces = [b64encode(chunk.data).decode() for chunk in chunks]
    return await page.evaluate(
        "([mime, pieces]) => openPieces(mime, pieces)", [mime_of(chunks[0].data), pieces]
    )


def publish(chunks: list[Chunk], folder: Path, name: str = "clip.mp4") -> str:
    remux(write_fragments(chunks, folder / "fragments.mp4"), folder / name, {})
    return name


async def check_flashes(page: Page, clip: Clip) -> None:
    """Every flash is on show from its frame's time on, and the frame before it is dark."""
    for flash in clip.flashes:
        middle = float((flash + Fraction(1, 2)) / clip.fps)
        frame = await page.evaluate("(time) => frameAt(time)", middle)
        before = await page.evaluate("(time) => frameAt(time)", middle - float(1 / clip.fps))
        assert frame["brightness"] > 200
        assert before["brightness"] < 50
        assert frame["mediaTime"] == pytest.approx(float(flash / clip.fps), abs=TOLERANCE / 100)
        assert before["mediaTime"] == pytest.approx(float((flash - 1) / clip.fps), abs=TOLERANCE / 100)


@pytest.mark.parametrize("clip", SELECTION, ids=name_of)
async def test_flashes_are_in_time(clip: Clip, page: Page, site: str, tmp_path: Path) -> None:
    chunks = list(encode(clip, flush_after=[clip.flashes[0] - 3]))
    length = float(clip.frames / clip.fps)
    opened = await open_by_mse(page, chunks)
    assert len(opened["ranges"]) == 1
    assert opened["ranges"][0] == pytest.approx([0, length], abs=0.001)
    assert opened["duration"] == pytest.approx(length, abs=0.001)
    await check_flashes(page, clip)
    opened = await page.evaluate("openSource", f"{site}/{publish(chunks, tmp_path)}")
    assert opened["duration"] == pytest.approx(length, abs=0.001)
    await check_flashes(page, clip)


@pytest.mark.parametrize("clip", SELECTION, ids=name_of)
async def test_clicks_are_in_time(clip: Clip, page: Page, site: str, tmp_path: Path) -> None:
    """The published file's sound, decoded by Chromium."""
    address = f"{site}/{publish(list(encode(clip)), tmp_path)}"
    times = [float(flash / clip.fps) for flash in clip.flashes]
    starts = [max(0, round((time - 0.05) * clip.rate)) for time in times]
    heard = await page.evaluate(
        "(given) => decodeSound(...given)", [address, clip.rate, starts, clip.rate // 10]
    )
    for time, start, samples in zip(times, starts, heard, strict=True):
        from_start = time - start / clip.rate
        click = find_click(np.array(samples, np.float32), clip.rate, from_start)
        assert click == pytest.approx(from_start, abs=TOLERANCE)


def hiss(count: int, lead_in: int) -> NDArray[np.int16]:
    """Sound every part of which is like no other part."""
    rough = np.random.default_rng(5).standard_normal(count)
    smooth = np.convolve(rough, np.hanning(9), "same")
    smooth[:lead_in] = 0
    return np.round(8000 * smooth / smooth.std()).clip(-32768, 32767).astype(np.int16)


def place_of(heard: NDArray[np.float64], sound: NDArray[np.int16], near: int, reach: int) -> int:
    """Sample of `sound` where `heard` begins."""
    window = sound[near - reach : near + reach + len(heard)].astype(np.float64)
    return near - reach + int(np.argmax(np.correlate(window, heard, "valid")))


@pytest.mark.parametrize("way", ["mse", "file"])
@pytest.mark.parametrize(("rate", "lead_in_ms"), [(24000, 120), (16000, 120), (22050, 0), (48000, 0)])
async def test_sound_is_where_the_players_clock_says(
    rate: int, lead_in_ms: int, way: str, page: Page, site: str, tmp_path: Path
) -> None:
    """Seek, play, and look which sample comes first out of the element: on the media timeline itself."""
    fps, frames = Fraction(15), 45
    lead_in = rate * lead_in_ms // 1000
    sound = hiss(samples_until(frames, rate, fps), lead_in)
    encoder = Encoder(EncoderSettings(64, 48, None, fps, rate, 1, lead_in))
    chunks: list[Chunk] = []
    for frame in range(frames):
        start, end = (samples_until(f, rate, fps) for f in (frame, frame + 1))
        chunks += encoder.write(np.zeros((48, 64, 3), np.uint8), sound[start:end, None])
    chunks += encoder.close()
    if way == "mse":
        await open_by_mse(page, chunks)
    else:
        await page.evaluate("openSource", f"{site}/{publish(chunks, tmp_path)}")
    times = [0.25, 0.8125, 1.5, 2.2]
    heard = await page.evaluate("([times, rate]) => soundsFrom(times, rate, 1500)", [times, rate])
    for time, samples in zip(times, heard, strict=True):
        # What comes first may be faded in or resampled; a little later all is plain sound.
        skipped = 300
        place = place_of(np.array(samples[skipped:]), sound, round(time * rate) + skipped, rate // 10)
        assert (place - skipped) / rate == pytest.approx(time, abs=TOLERANCE)


async def test_all_frames_are_decoded_and_the_end_is_reached(page: Page) -> None:
    clip = Clip(2.0, Fraction(15), 24000)
    await open_by_mse(page, list(encode(clip)))
    played = await page.evaluate("playToEnd()")
    assert played["frames"] == clip.frames
    assert played["sound"] > 0
    assert played["end"] == pytest.approx(float(clip.frames / clip.fps), abs=0.05)


async def test_every_appended_fragment_extends_what_can_be_played(page: Page) -> None:
    """After a flush the whole sentence is there, but for a block of sound."""
    clip = Clip(2.0, Fraction(15), 24000)
    chunks = list(encode(clip, flush_after=[20]))
    opened = await open_by_mse(page, chunks)
    flushed = max(i for i, c in enumerate(chunks) if c.start_us + c.duration_us == 1_400_000)
    assert opened["ends"][flushed] > 1.4 - 2 * 1024 / 24000
    assert opened["ends"] == sorted(opened["ends"])


async def test_the_published_file_plays_and_seeks(page: Page, site: str, tmp_path: Path) -> None:
    clip = Clip(4.0, Fraction(15), 24000)
    address = f"{site}/{publish(list(encode(clip)), tmp_path)}"
    await page.evaluate("openSource", address)
    assert (await page.evaluate("video.seekable.end(0)")) == pytest.approx(
        float(clip.frames / clip.fps), abs=0.001
    )
    for frame in (clip.frames - 1, 3, clip.frames // 2, 0):
        got = await page.evaluate("(time) => frameAt(time)", float((frame + Fraction(1, 2)) / clip.fps))
        assert got["mediaTime"] == pytest.approx(float(frame / clip.fps), abs=1e-4)
    await page.evaluate("video.currentTime = 0")
    played = await page.evaluate("playToEnd()")
    assert played["end"] == pytest.approx(float(clip.frames / clip.fps), abs=0.05)
    assert played["sound"] > 0


@pytest.mark.parametrize("way", ["mse", "file"])
async def test_colours_on_a_canvas(way: str, page: Page, site: str, tmp_path: Path) -> None:
    data = encode_patches(frames=15)
    if way == "mse":
        piece = b64encode(data).decode()
        await page.evaluate("([mime, piece]) => openPieces(mime, [piece])", [mime_of(data), piece])
    else:
        (tmp_path / "fragments.mp4").write_bytes(data)
        remux(tmp_path / "fragments.mp4", tmp_path / "video.mp4", {})
        await page.evaluate("openSource", f"{site}/video.mp4")
    await page.evaluate("frameAt(0.7)")
    flat = await page.evaluate(
        "(() => { const p = pixels(); return [p.width, p.height, Array.from(p.data)]; })()"
    )
    width, height, values = flat
    picture = np.array(values, np.uint8).reshape(height, width, 4)[..., :3]
    assert np.abs(patch_values(picture) - np.array(PATCHES)).max() <= 4
