"""From a clip and from a photograph to a spoken MP4 by the commands alone, with small random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support.landmarks import ASTRONAUT, write_landmarks
from tests.support.portraits import astronaut, save, write_clip

from avatar_inference.bundle import Bundle, Picture
from avatar_inference.bundle_store import BundleStore

SIDE = 256
PICTURES = 200
"""Eight seconds at 25 pictures a second."""
SEAM = 16
"""Pixels about the box that the codec's blocks reach into."""
TEXT = "Hello there."


@dataclass(frozen=True)
class Commands:
    """Runs `avatar`, with its data in one folder."""

    folder: Path
    weights: Path

    def __call__(self, *arguments: str) -> list[dict[str, Any]]:
        """The lines of its JSON."""
        own = {"XDG_DATA_HOME": str(self.folder), "AVATAR_WEIGHTS": str(self.weights)}
        own |= {"OMP_NUM_THREADS": "1"}  # other tests run beside this one
        run = subprocess.run(
            [sys.executable, "-m", "avatar_cli", *arguments, "--engine", "musetalk", "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            env={**os.environ, **own},
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    def bundle(self, name: str) -> Bundle:
        return BundleStore(self.folder / "avatar-operator/bundles").get(name)


@pytest.fixture
def avatar(tmp_path: Path, tiny_weights: Path) -> Commands:
    return Commands(tmp_path, tiny_weights)


def swaying(picture: Picture, points: NDArray[np.float64]) -> Iterator[tuple[Picture, NDArray[np.float64]]]:
    """Crops of the portrait that wander and zoom a little, SIDE pixels square, with the points in each."""
    whole = Image.fromarray(picture)
    for number in range(PICTURES):
        turn = 2 * np.pi * number / PICTURES
        side = 250 + 8 * np.sin(3 * turn)
        left, top = 100 + 6 * np.sin(turn), 6 + 4 * np.sin(2 * turn)
        edges = (left, top, left + side, top + side)
        yield (
            np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BILINEAR, edges)),
            (points - (left, top)) * SIDE / side,
        )


def decoded(path: Path) -> tuple[list[Picture], Fraction, float]:
    """Pictures, frames a second and seconds of sound."""
    with av.open(str(path)) as file:
        rate = file.streams.video[0].average_rate
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        sound = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
        assert file.streams.audio[0].codec_context.name == "aac"
    assert rate is not None
    return pictures, Fraction(rate), float(sound)


def check(entry: dict[str, Any], path: Path, bundle: Bundle) -> None:
    """The receipt's facts are the file's; what was repainted is the mouth, and nothing else."""
    receipt, (pictures, fps, sound) = entry["receipt"], decoded(path)
    assert receipt["engine"] == "musetalk"
    assert receipt["audioWindows"] == "aligned"
    assert set(receipt["weights"]) == {"unet", "vae", "whisper"}
    assert receipt["usage"]["gpuSeconds"] == 0
    assert any("random weights" in note for note in receipt["notes"])
    assert receipt["video"]["frames"] == len(pictures) > 10
    assert abs(sound - len(pictures) / fps) < 0.1
    inside, outside = [], []
    for number, found in enumerate(pictures):
        index = bundle.picture_at(number, fps)
        box, mask, own = bundle.boxes[index], bundle.masks[index], bundle.pictures[index]
        assert found.shape == own.shape
        assert box is not None
        assert mask is not None
        off = np.abs((found.astype(np.int16) - own).mean(axis=2))  # colours are stored at half the size
        face = np.zeros(off.shape, bool)
        top, left = max(0, box.y - SEAM), max(0, box.x - SEAM)
        face[top : box.y + box.height + SEAM, left : box.x + box.width + SEAM] = True
        outside.append(off[~face])
        inside.append(off[box.y : box.y + box.height, box.x : box.x + box.width][mask == 255])
    untouched, painted = np.concatenate(outside), np.concatenate(inside)
    assert untouched.mean() < 4, f"mean {untouched.mean():.2f}"
    assert np.quantile(untouched, 0.99) < 16
    assert painted.mean() > 20, f"mean {painted.mean():.2f}"


@pytest.mark.slow
def test_a_clip_of_eight_seconds_speaks(avatar: Commands, tmp_path: Path) -> None:
    pictures, points = zip(*swaying(astronaut(), ASTRONAUT), strict=True)
    clip = write_clip(tmp_path / "clip.mkv", pictures)
    landmarks = write_landmarks(tmp_path / "clip.json", points, (SIDE, SIDE))
    prepared = avatar("prepare", str(clip), "--landmarks", str(landmarks))[-1]
    assert (prepared["width"], prepared["height"]) == (SIDE, SIDE)
    assert prepared["pictures"] >= PICTURES - 25  # half a second at most is cut off
    assert (tmp_path / prepared["preview"]).read_bytes().startswith(b"\x89PNG")
    made = avatar("run", "--text", TEXT, "--avatar", prepared["avatar"], "-o", "reply.mp4")[-1]
    assert made["event"] == "made"
    check(made, tmp_path / "reply.mp4", avatar.bundle(prepared["avatar"]))


@pytest.mark.slow
def test_a_photograph_speaks(avatar: Commands, tmp_path: Path) -> None:
    photo = save(astronaut(), tmp_path / "photo.png")
    landmarks = write_landmarks(tmp_path / "photo.json", [ASTRONAUT])
    prepared = avatar("prepare", str(photo), "--landmarks", str(landmarks))[-1]
    assert prepared["pictures"] == 1
    made = avatar("run", "--text", TEXT, "--avatar", prepared["avatar"], "-o", "reply.mp4")[-1]
    check(made, tmp_path / "reply.mp4", avatar.bundle(prepared["avatar"]))
