"""Media made to hurt: typed errors, bounded memory and time, and nothing encoded."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.inference.preview.test_prepare_videos import png_in_mov
from tests.support.landmarks import ASTRONAUT, given
from tests.support.media_files import sound_file, tone
from tests.support.portraits import astronaut, save, write_clip
from tests.support.repainting import repaint

from avatar_core import limits
from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.musetalk.finders import Finders
from avatar_inference.source import video

SMALL = astronaut()[:256, 96:352]
POINTS = ASTRONAUT - np.array([96, 0])


def never(crops: NDArray[np.uint8]) -> NDArray[np.float16]:
    raise AssertionError("encoded")


def refused(path: Path, count: int = 1) -> str:
    with pytest.raises(InvalidInputError) as caught:
        repaint(path, finders=Finders(never), landmarks=given(*[POINTS] * count))
    assert caught.value.reason is Reason.INVALID_PICTURE
    return caught.value.message


def bomb(path: Path, size: int = 40_000) -> None:
    """A PNG of a few bytes that claims to unfold to gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(3 * size + 1), 9) * 4
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def cut_short(path: Path) -> None:
    write_clip(path, [astronaut()] * 4, codec="libx264", pix_fmt="yuv444p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def sound_alone(path: Path) -> None:
    path.write_bytes(sound_file("mp4", "aac", tone(16_000, 0.5), 16_000))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "empty.png": lambda path: path.write_bytes(b""),
    "pickle.pkl": lambda path: path.write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os."),
    "bomb.png": bomb,
    "bomb.mov": lambda path: png_in_mov(path, (16_000, 16_000)),
    "wide.mkv": lambda path: write_clip(path, [np.zeros((128, 8200, 3), np.uint8)]),
    "tiny.png": lambda path: save(np.zeros((20, 20, 3), np.uint8), path),
    "cut.png": lambda path: path.write_bytes(save(SMALL, path).read_bytes()[:20_000]),
    "cut.mp4": cut_short,
    "sound.mp4": sound_alone,
    "pipe.mp4": os.mkfifo,
    "device.png": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    HOSTILE[name](tmp_path / name)
    assert refused(tmp_path / name)


def test_a_long_video_is_refused_before_points_are_asked_for(tmp_path: Path) -> None:
    assert "longer than 60 s" in refused(write_clip(tmp_path / "x.mkv", [SMALL] * 2, [0, 90_000]), 2)


def test_a_stream_that_hardly_moves_on_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand pictures a second: what is decoded is counted, not only what is kept."""
    path = write_clip(tmp_path / "fast.mkv", [SMALL] * 300, list(range(300)))
    assert len(repaint(path, landmarks=given(*[POINTS] * 300)).bundle.boxes) == 12
    monkeypatch.setattr(video, "_DECODED_MAX", 100)
    assert "1800 pictures" in refused(path, 300)


def test_more_pixels_than_a_minute_of_4k_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mkv", [SMALL] * 20)
    monkeypatch.setattr(limits, "SOURCE_VIDEO_PIXELS_MAX", 20 * 256 * 256)
    assert len(repaint(path, landmarks=given(*[POINTS] * 20)).bundle.boxes) == 20
    monkeypatch.setattr(limits, "SOURCE_VIDEO_PIXELS_MAX", 19 * 256 * 256)
    assert "a minute of 4K" in refused(path, 20)
    monkeypatch.undo()
    assert 7680 * 4320 * 1800 > limits.SOURCE_VIDEO_PIXELS_MAX >= 3840 * 2160 * 3600


_MEASURED = """
import resource, sys
from pathlib import Path
import numpy as np
from tests.support.landmarks import ASTRONAUT, given
from tests.support.repainting import repaint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bundle = repaint(Path(sys.argv[1]), landmarks=given(ASTRONAUT * 8)).bundle
print(bundle.width, bundle.height, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_8k_is_scaled_down_in_bounded_memory(tmp_path: Path) -> None:
    """A photograph of 8192x4320, the largest there may be: it is held once in full."""
    large = np.zeros((4320, 8192, 3), np.uint8)
    large[:4096, :4096] = np.asarray(
        Image.fromarray(astronaut()).resize((4096, 4096), Image.Resampling.BILINEAR)
    )
    path = tmp_path / "8k.png"
    Image.fromarray(large).save(path, compress_level=1)
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    width, height, mebibytes = (int(word) for word in ran.stdout.split())
    assert (width, height) == (1280, 674)
    assert mebibytes < 450
