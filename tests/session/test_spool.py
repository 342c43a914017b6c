"""The spool: whatever the order of writing and reading, every reader gets everything in order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_core import limits
from avatar_core.errors import AvatarError, Reason
from avatar_inference.client import FLUSH
from avatar_session import spool as spool_module
from avatar_session.speech.voice import Sound
from avatar_session.spool import BLOCK_BYTES, Spool

RATE = 8000
SENTENCES = st.lists(
    st.lists(st.integers(1, 3 * BLOCK_BYTES // 2), min_size=1, max_size=4), min_size=1, max_size=4
)


def noise(samples: int, seed: int = 0, channels: int = 1) -> Sound:
    values = np.random.default_rng(seed).integers(500, 20_000, samples * channels, dtype="<i2")
    return Sound(RATE, channels, values.tobytes())


async def everything(spool: Spool) -> list[object]:
    """What a reader gets, blocks between two flushes joined."""
    found: list[object] = [b""]
    async for piece in spool.read():
        if piece is FLUSH:
            found += [FLUSH, b""]
        else:
            assert len(piece) <= BLOCK_BYTES
            found[-1] += piece  # type: ignore[operator]
    return found


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.integers(1, 2), st.data())
def test_readers_before_during_and_after_get_the_same(
    sentences: list[list[int]], channels: int, data: st.DataObject
) -> None:
    async def scenario(folder: str) -> None:
        spool = Spool(Path(folder, "speech.pcm"))
        readers = [asyncio.create_task(everything(spool))]
        written: list[object] = []
        for number, pieces in enumerate(sentences):
            whole = b""
            for seed, samples in enumerate(pieces):
                sound = noise(samples, seed + 10 * number, channels)
                spool.write(sound)
                whole += sound.pcm
                if data.draw(st.booleans()):
                    await asyncio.sleep(0)
            before = spool.samples
            spool.end_sentence(f"{number}")
            written += [whole + bytes((spool.samples - before) * 2 * channels), FLUSH]
            readers.append(asyncio.create_task(everything(spool)))
        spool.finish()
        readers.append(asyncio.create_task(everything(spool)))
        for reader in readers:
            assert await reader == [*written, b""]
        assert [sentence.text for sentence in spool.sentences] == [str(n) for n in range(len(sentences))]
        assert spool.sentences[-1].end == spool.samples

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(folder))


@pytest.mark.parametrize(("quiet", "added"), [(0.0, 0.12), (0.05, 0.07), (0.12, 0.0), (0.5, 0.0)])
@pytest.mark.parametrize("channels", [1, 2])
async def test_a_pause_is_only_filled_up(tmp_path: Path, quiet: float, added: float, channels: int) -> None:
    spool = Spool(tmp_path / "speech.pcm")
    spool.write(noise(4000, channels=channels))
    for _ in range(10):  # the quiet may come in pieces
        spool.write(Sound(RATE, channels, bytes(int(quiet * RATE) // 10 * 2 * channels)))
    before = spool.samples
    spool.end_sentence("x")
    assert spool.samples - before == pytest.approx(added * RATE, abs=10)
    spool.close()


async def test_a_voice_must_keep_its_format(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "speech.pcm")
    spool.write(noise(10))
    with pytest.raises(AvatarError, match="8000 Hz x 1 to 16000 Hz x 1") as caught:
        spool.write(Sound(16_000, 1, b"\0\0"))
    assert caught.value.reason is Reason.SPEECH_INVALID
    spool.close()


async def test_endless_speech_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spool_module.MAX_AUDIO_SECONDS == limits.MAX_AUDIO_SECONDS
    monkeypatch.setattr(spool_module, "MAX_AUDIO_SECONDS", 2)
    spool = Spool(tmp_path / "speech.pcm")
    spool.write(noise(2 * RATE))
    with pytest.raises(AvatarError) as caught:
        spool.write(noise(1))
    assert caught.value.reason is Reason.AUDIO_TOO_LONG
    spool.close()


async def test_the_format_is_awaited(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "speech.pcm")
    waiting = asyncio.create_task(spool.until_format_known())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    spool.write(noise(1))
    await asyncio.wait_for(waiting, 1)
    assert (spool.rate, spool.channels) == (RATE, 1)
    spool.close()
