"""The check for published weights, run with small random ones: everything but what they look like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.landmarks import ASTRONAUT, given, write_landmarks
from tests.support.portraits import astronaut, save
from tests.support.sound import babble

from avatar_cli.commands.weights import command
from avatar_core.errors import InvalidInputError, WeightsError
from avatar_inference.engine import RepaintOptions
from avatar_inference.musetalk import golden as module
from avatar_inference.musetalk.golden import Golden, verify_golden
from avatar_inference.musetalk.golden_measures import BEST_DB, lag, likeness
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.musetalk.weights import random_weights
from avatar_inference.musetalk.weights.catalogue import PARTS
from avatar_inference.musetalk.windows import Windows


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables of many lengths, float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    levels = np.repeat(random.uniform(0, 1, round(seconds * 8)) ** 2, 2000)
    return np.asarray(random.normal(0, 0.3, len(levels)) * levels, np.float32)


@settings(deadline=None, max_examples=20)
@any_of(st.integers(-150, 150), st.sampled_from([12.0, 25.0, 30.0]), st.integers(0, 9))
def test_a_lag_is_measured_to_a_few_milliseconds(shift: int, fps: float, seed: int) -> None:
    sound = speech(8, seed)
    loud = np.sqrt(np.convolve(sound.astype(np.float64) ** 2, np.ones(1600) / 1600, mode="same"))
    times = (np.arange(int(8 * fps)) + 0.5) / fps - shift / 1000
    openings = np.interp(times, np.arange(len(loud)) / 16000, loud)
    found = lag(openings, fps, sound)
    assert abs(found.milliseconds - shift) <= 25  # at 12 frames a second a third of a frame
    assert found.correlation > 0.7


def test_no_motion_correlates_with_nothing() -> None:
    assert lag(np.ones(100), 25, speech(4)).correlation == pytest.approx(0, abs=1e-6)


def test_likeness_is_that_of_the_formula() -> None:
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 10, np.uint8)
    assert likeness([(black, black)]).psnr_db == BEST_DB
    found = likeness([(black, black), (grey, black)])
    assert found.frames == 2
    assert found.mean_levels == 5
    assert found.worst_psnr_db == pytest.approx(10 * np.log10(255**2 / 100))
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / 50))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Half a second of sound, the portrait, weights of every part."""
    folder = tmp_path_factory.mktemp("golden")
    random_weights(folder / "weights", TINY, 0, [part.name for part in PARTS])
    return Golden(
        settings=MuseTalkSettings(weights=folder / "weights", device="cpu", precision="fp32"),
        picture=save(astronaut(), folder / "portrait.png"),
        sound=np.frombuffer(babble(0.5), np.int16)[:8000].astype(np.float32) / 32768,
        landmarks=given(ASTRONAUT),
    )


@pytest.fixture(scope="module")
def reference(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames drawn as the published code would; by our own, since only the comparing is tested here."""
    folder = tmp_path_factory.mktemp("reference")
    settings = replace(golden.settings, windows=Windows.UPSTREAM)
    options = RepaintOptions(landmarks=golden.landmarks, mask="jaw", margin=10)
    for number, (_, frame) in enumerate(module._frames(golden, settings, options)):
        save(frame, folder / f"{number:08}.png")
    return folder


def silent(_: str) -> None:
    """Hears what happens."""


def test_everything_is_reported(golden: Golden, reference: Path) -> None:
    told: list[str] = []
    found = verify_golden(replace(golden, reference=reference), told.append)
    report = json.loads(json.dumps(found.report))
    assert report["frames"] == 12
    assert not report["official"] and not found.passed
    assert set(report["weights"]) == set(report["numbers_loaded"]) == {part.name for part in PARTS}
    assert report["reference"]["frames"] == 12
    assert report["reference"]["psnr_db"] == BEST_DB
    assert report["reference"]["wanted_psnr_db"] == 50
    assert -300 <= report["lip_lag"]["milliseconds"] <= 300
    assert found.sheet.size == (6 * 192, 2 * 192)
    assert "looking at every number of unet" in told


def test_frames_of_something_else_are_far_off(golden: Golden, reference: Path, tmp_path: Path) -> None:
    for file in reference.iterdir():
        pixels = np.asarray(Image.open(file)).copy()
        pixels[::2, ::2] ^= 64
        save(pixels, tmp_path / file.name)
    found = verify_golden(replace(golden, reference=tmp_path), silent)
    assert found.report["reference"]["psnr_db"] < 30
    assert found.report["reference"]["mean_levels"] > 1


def test_a_reference_that_does_not_belong_is_refused(golden: Golden, reference: Path, tmp_path: Path) -> None:
    def refused(told: str) -> None:
        with pytest.raises(InvalidInputError, match=told):
            verify_golden(replace(golden, reference=tmp_path), silent)

    files = sorted(reference.iterdir())
    refused("holds 0 PNGs; more frames")
    for file in [*files, files[0].with_name("99999999.png")]:
        (tmp_path / file.name).write_bytes(files[0].read_bytes())
    refused("holds 13 PNGs; 12 frames")
    (tmp_path / files[3].name).write_bytes(b"no picture")
    refused("00000003.png can't be read")
    save(np.zeros((64, 64, 3), np.uint8), tmp_path / files[0].name)
    refused("00000000.png is 64x64 instead of 512x512")


@pytest.mark.parametrize("samples", [0, 61 * 16_000])
def test_sound_of_no_or_too_much_length_is_refused(golden: Golden, samples: int) -> None:
    with pytest.raises(InvalidInputError, match="audio: must last"):
        verify_golden(replace(golden, sound=np.zeros(samples, np.float32)), silent)


@pytest.mark.slow
def test_the_command_writes_report_and_sheet_and_fails_for_other_weights(
    golden: Golden, reference: Path, tmp_path: Path
) -> None:
    write_landmarks(tmp_path / "points.json", [ASTRONAUT], (512, 512))
    arguments = ["verify", "--golden", "--folder", str(golden.settings.weights), "--device", "cpu"]
    arguments += ["--picture", str(golden.picture), "--landmarks", str(tmp_path / "points.json")]
    ran = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "out"), "--json"])
    assert isinstance(ran.exception, WeightsError)
    assert "not the published weights" in str(ran.exception)
    report = json.loads(ran.stdout)
    assert report == json.loads((tmp_path / "out/golden.json").read_text())
    assert report["frames"] > 50, "the built-in voice spoke"
    assert report["reference"] is None
    with Image.open(tmp_path / "out/golden.png") as sheet:
        assert sheet.size == (1152, 768)


def test_the_command_wants_a_picture(golden: Golden) -> None:
    ran = CliRunner().invoke(command, ["verify", "--golden", "--folder", str(golden.settings.weights)])
    assert isinstance(ran.exception, InvalidInputError)
    assert ran.exception.field == "picture"
