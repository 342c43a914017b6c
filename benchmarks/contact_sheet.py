"""A contact sheet: so many frames of a video, evenly spaced, on one picture to look at.

python -m benchmarks.contact_sheet out/hello.mp4 docs/images/contact-sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import av
from PIL import Image, ImageDraw

FRAMES, COLUMNS, TILE = 24, 6, 256


def spread(total: int, count: int) -> list[int]:
    """`count` indices of 0..total-1, evenly spaced, first and last included."""
    return [round(step * (total - 1) / max(1, count - 1)) for step in range(count)]


def read_frames(video: Path, count: int) -> list[tuple[float, Image.Image]]:
    """Evenly spaced frames with their times in seconds."""
    with av.open(str(video)) as container:
        total = container.streams.video[0].frames
        wanted = set(spread(total, count))
        frames = enumerate(container.decode(video=0))
        return [(frame.time or 0.0, frame.to_image()) for index, frame in frames if index in wanted]


def lay_out(frames: Sequence[tuple[float, Image.Image]], columns: int, tile: int) -> Image.Image:
    """Frames in rows, each with its time."""
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * tile), "white")
    for index, (time, frame) in enumerate(frames):
        corner = (index % columns * tile, index // columns * tile)
        sheet.paste(frame.resize((tile, tile), Image.Resampling.LANCZOS), corner)
        ImageDraw.Draw(sheet).text((corner[0] + 6, corner[1] + 4), f"{time:.2f} s", fill="black")
    return sheet


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    sheet = lay_out(read_frames(arguments.video, FRAMES), COLUMNS, TILE)
    sheet.quantize(256, dither=Image.Dither.NONE).save(arguments.picture, optimize=True)
