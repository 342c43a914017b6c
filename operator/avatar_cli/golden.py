"""The command's half of `avatar weights verify --golden`: sound in, report out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from avatar_core.errors import InvalidInputError, Reason, WeightsError
from avatar_core.media.lip_sound import LipResampler

SENTENCE = "Every morning my brother walks past the old bakery, buys five warm rolls, and forgets his map."


def run_golden(
    folder: Path,
    *,
    as_json: bool,
    picture: Path | None,
    landmarks: Path | None,
    audio: Path | None,
    reference: Path | None,
    out: Path,
    device: Any,
    precision: Any,
) -> None:
    """Makes the photograph speak and writes golden.json and golden.png.

    Raises:
        WeightsError: WeightsInvalid when the frames differ too much from the reference's, or the weights are
            not the published ones; the report is written before.
        InvalidInputError: no picture is given, or a file can't be used.
    """
    if picture is None:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, "give a photograph of one face", field="picture")
    from avatar_inference.landmarks import read_landmarks
    from avatar_inference.musetalk.golden import Golden, verify_golden
    from avatar_inference.musetalk.settings import MuseTalkSettings

    golden = Golden(
        settings=MuseTalkSettings(weights=folder, device=device, precision=precision),
        picture=picture,
        sound=asyncio.run(_spoken()) if audio is None else _read(audio),
        landmarks=None if landmarks is None else read_landmarks(landmarks).points,
        reference=reference,
    )
    found = verify_golden(golden, lambda what: click.echo(what, err=True))
    out.mkdir(parents=True, exist_ok=True)
    report = json.dumps(found.report, indent=2) + "\n"
    (out / "golden.json").write_text(report)
    found.sheet.save(out / "golden.png", optimize=True)
    click.echo(
        json.dumps(found.report) if as_json else report + f"Written to {out / 'golden.json'} and .png."
    )
    if not found.passed:
        raise WeightsError(Reason.WEIGHTS_INVALID, _why(found.report))


def _why(report: dict[str, Any]) -> str:
    if not report["official"]:
        return "these are not the published weights, so this proves nothing about them"
    reference = report["reference"]
    wanted, found = reference["wanted_psnr_db"], reference["psnr_db"]
    return (
        f"the frames differ from the reference's: {found:.1f} dB, where {wanted:g} dB are wanted, "
        f"and by {reference['mean_levels']:.2f} levels in the mean"
    )


def _read(audio: Path) -> NDArray[np.float32]:
    from avatar_core.media.decode import read_sound

    sound = read_sound(audio, max_seconds=60)
    return _heard(sound.rate, sound.channels, sound.blocks)


async def _spoken() -> NDArray[np.float32]:
    from avatar_session.speech.espeak import EspeakVoice

    async with EspeakVoice("en-us") as voice:
        pieces = [piece async for piece in voice.speak(SENTENCE)]
    return _heard(pieces[0].rate, 1, [np.frombuffer(piece.pcm, np.int16)[:, None] for piece in pieces])


def _heard(rate: int, channels: int, blocks: Iterable[NDArray[np.int16]]) -> NDArray[np.float32]:
    """As the engine hears it: float32 [n], 16 kHz mono."""
    resampler = LipResampler(rate, channels)
    return np.concatenate([*(resampler.push(block) for block in blocks), resampler.flush()])
