"""Lips measured in the pixels of published MP4s, with the sound of the same files.

    python -m benchmarks.lips_decoded

One row a voice and frame rate, one for the same speech 20 dB quieter, one for a mouth that follows loudness
alone. The measures are those of tests/support/lip_measures.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.inference.preview.test_lips_decoded import VOICES, _Loudness, louder
from tests.support.lip_speech import speech
from tests.support.lip_video import Seen, publish, see

from avatar_inference.client import InferenceClient
from avatar_inference.server import ServerSettings, serve

RATES = (12, 15, 25)
HEAD = (
    f"{'what':22} {'offset':>7} {'open':>5} {'m/b/p':>6} {'ratio':>6} {'w/h ratio':>9} {'lag ms':>6}"
    f" {'corr':>5} {'pauses':>6} {'mean px':>7}"
)


def row(what: str, seen: Seen, fps: int, voice: str) -> str:
    """One line under `HEAD`."""
    m = seen.measured(fps, speech(voice).phonemes)
    return (
        f"{what:22} {seen.offset:7.4f} {m.open_vowels:5.2f} {m.closures:6.3f} {m.contrast:6.1f}"
        f" {m.rounding:9.2f} {m.lag_ms:+6.0f} {m.correlation:5.2f} {m.pauses:6.3f} {seen.opening.mean():7.2f}"
    )


@asynccontextmanager
async def _client(folder: Path, features: Any = None) -> AsyncIterator[InferenceClient]:
    settings = ServerSettings(port=0, bundle_store=folder / "bundles")
    async with serve(settings) as running, InferenceClient(running.target) as client:
        if features:
            engine: Any = running.parts.worker.engine
            engine.features = features
        yield client


async def main() -> None:
    """Prints all rows."""
    print(HEAD)
    cases = [(fps, 0) for fps in RATES] + [(15, -20)]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for features, label in ((None, ""), (_Loudness, " loudness")):
            async with _client(folder, features) as client:
                for voice in VOICES:
                    for fps, decibels in cases if features is None else [(15, 0), (15, -20)]:
                        pcm = louder(speech(voice), decibels)
                        video = await publish(client, pcm, speech(voice).rate, Fraction(fps), folder)
                        what = f"{voice} {fps}/s {decibels or ''}{'dB' if decibels else ''}{label}"
                        print(row(what, see(video, pcm, Fraction(fps)), fps, voice))


if __name__ == "__main__":
    asyncio.run(main())
