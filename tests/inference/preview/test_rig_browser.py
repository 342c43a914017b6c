from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar_inference.preview import rig
from avatar_inference.preview.raster import render

SOURCE = Path(rig.__file__).with_name("ava.svg")


@pytest.mark.browser
def test_a_browser_shows_the_same_drawing(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: the drawing is not compared with a browser's")
    shot = tmp_path / "ava.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=512,512"]
    subprocess.run(
        [chromium, *flags, f"--user-data-dir={tmp_path}", f"--screenshot={shot}", SOURCE.as_uri()],
        check=True,
        capture_output=True,
        timeout=60,
    )
    theirs = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    ours = np.clip(render(rig.ava_drawing()).pixels[..., :3], 0, 1) * 255
    difference = np.abs(theirs - ours)
    assert theirs.shape == (512, 512, 3)
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 8
