"""How fast media work is: compositing, encoding, resampling, decoding, publishing, against real time.

    python -m benchmarks.encoder [--json]

Each line is one thread on one core, median of five runs. "x real time" counts seconds of video or sound
handled in one second; frames are 512x512 at 15 a second, with light grain and a moving mouth.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar_core.media.decode import read_sound
from avatar_core.media.lip_sound import LipResampler
from avatar_core.media.mp4 import remux
from avatar_inference.bundle import Box
from avatar_inference.compositor import paste, stretch_bicubic
from avatar_inference.encoder import Encoder, EncoderSettings

FPS, RATE, SIZE, RUNS, SECONDS = Fraction(15), 24_000, 512, 5, 10
FRAMES = int(SECONDS * FPS)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    what: str
    times_real_time: float
    milliseconds_a_frame: float | None = None


def faces(count: int) -> list[NDArray[np.uint8]]:
    """A smooth picture with grain and a mouth that opens and closes."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (16, 16, 3), dtype=np.uint8)
    base = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(np.int16)
    pictures = []
    for index in range(count):
        picture = base + rng.integers(-2, 3, base.shape, dtype=np.int16)
        opening = 10 + int(30 * abs(np.sin(0.7 * index)))
        picture[340 : 340 + opening, 200:310] = (120, 30, 30)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def hiss(rate: int, channels: int = 1) -> NDArray[np.int16]:
    """SECONDS of noise, int16 [n, channels]."""
    rough = np.random.default_rng(1).standard_normal((rate * SECONDS, channels))
    return (6000 * rough).clip(-32768, 32767).astype(np.int16)


def median_seconds(work: Callable[[], object]) -> float:
    """Median duration of RUNS runs, after one to warm up."""
    work()
    durations = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def encode(pictures: list[NDArray[np.uint8]], sound: NDArray[np.int16]) -> bytes:
    """SECONDS of video."""
    encoder = Encoder(EncoderSettings(SIZE, SIZE, None, FPS, RATE, 1, RATE // 8))
    step = RATE // int(FPS)
    chunks = []
    for frame in range(FRAMES):
        chunks += encoder.write(pictures[frame % len(pictures)], sound[frame * step : (frame + 1) * step])
    return b"".join(chunk.data for chunk in chunks + encoder.close())


def picture_rows(pictures: list[NDArray[np.uint8]]) -> list[Row]:
    """Compositing and encoding."""
    crop, mask = pictures[0][:256, :256], np.full((256, 256), 255, np.uint8)
    mask[:40] = np.linspace(0, 255, 40)[:, None]
    sound = hiss(RATE)
    rows = []
    for what, box in (("256x256", Box(128, 200, 256, 256)), ("300x310, stretched", Box(100, 190, 300, 310))):
        shaped = np.asarray(Image.fromarray(mask).resize((box.width, box.height)))

        def paste_all(box: Box = box, shaped: NDArray[np.uint8] = shaped) -> None:
            for _ in range(FRAMES):
                paste(pictures[0], stretch_bicubic(crop, box.width, box.height), box, shaped)

        seconds = median_seconds(paste_all)
        rows.append(Row(f"paste a {what} face", SECONDS / seconds, 1000 * seconds / FRAMES))
    seconds = median_seconds(partial(encode, pictures, sound))
    rows.append(Row("encode picture and sound to fMP4", SECONDS / seconds, 1000 * seconds / FRAMES))
    return rows


def sound_rows() -> list[Row]:
    """Resampling for lips, and decoding of a FLAC file."""
    rows = []
    for rate, channels in ((22_050, 1), (24_000, 1), (44_100, 2), (48_000, 2)):
        pieces = np.array_split(hiss(rate, channels), 5 * SECONDS)

        def resample(pieces: list[NDArray[np.int16]] = pieces, rate: int = rate, n: int = channels) -> None:
            lips = LipResampler(rate, n)
            for piece in pieces:
                lips.push(piece)
            lips.flush()

        name = f"{rate} Hz, {'mono' if channels == 1 else 'stereo'}, to 16 kHz mono, 200 ms a piece"
        rows.append(Row(name, SECONDS / median_seconds(resample)))
    data = flac(hiss(RATE))
    rows.append(Row("decode FLAC", SECONDS / median_seconds(lambda: list(read_sound(data).blocks))))
    return rows


def flac(sound: NDArray[np.int16]) -> bytes:
    """A FLAC file."""
    out = BytesIO()
    with av.open(out, "w", format="flac") as sink:
        stream = sink.add_stream("flac", rate=RATE)
        stream.layout, stream.format = "mono", "s16"
        frame = av.AudioFrame.from_ndarray(sound.T.copy(), "s16", "mono")
        frame.sample_rate = RATE
        fifo = av.AudioFifo()
        fifo.write(frame)
        sink.start_encoding()
        for part in fifo.read_many(stream.codec_context.frame_size, partial=True):
            sink.mux(stream.encode(part))
        sink.mux(stream.encode(None))
    return out.getvalue()


def publish_row(pictures: list[NDArray[np.uint8]]) -> Row:
    """Fragments to a faststart MP4."""
    with TemporaryDirectory() as folder:
        fragments = Path(folder) / "fragments.mp4"
        fragments.write_bytes(encode(pictures, hiss(RATE)))
        seconds = median_seconds(lambda: remux(fragments, Path(folder) / "video.mp4", {}))
    return Row("remux to a progressive MP4", SECONDS / seconds)


def main() -> None:
    """Prints all rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON list instead of a table")
    as_json = parser.parse_args().json
    pictures = faces(30)
    rows = [*picture_rows(pictures), *sound_rows(), publish_row(pictures)]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        frame = f"{row.milliseconds_a_frame:8.2f} ms a frame" if row.milliseconds_a_frame else ""
        print(f"{row.what:55} {row.times_real_time:8.0f} x real time {frame}")


if __name__ == "__main__":
    main()
