"""What photographs and videos as avatars cost: preparing them, drawing their mouths, memory.

    python -m benchmarks.photo [--seconds 10]

CPU time is this process's, all threads together; the video is 1280x720 at 30 pictures a second, the portrait
in it swaying.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import skimage.data
from PIL import Image

from avatar_inference.bundle import Bundle, Picture
from avatar_inference.engine import PrepareOptions
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.prepare import prepare_photo
from avatar_inference.preview.warp import PhotoFace

WIDTH, HEIGHT, FPS = 1280, 720, 30


def swaying(seconds: float) -> Iterator[Picture]:
    """The portrait moving slowly before a wall."""
    portrait = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((640, 640)))
    for number in range(int(seconds * FPS)):
        picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        left = 320 + round(60 * np.sin(number / 20))
        picture[80:720, left : left + 640] = portrait
        yield picture


def write_video(path: Path, seconds: float) -> None:
    """H.264 in MP4."""
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in swaying(seconds):
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        sink.mux(stream.encode(None))


def prepare(path: Path) -> tuple[Bundle, float, float]:
    """The bundle, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    bundle = prepare_photo(path, PrepareOptions("portrait"), lambda stage, done, total: None).bundle
    return bundle, time.perf_counter() - wall, time.process_time() - cpu


def draw_ms(bundle: Bundle, frames: int = 200) -> float:
    """Median CPU milliseconds of this thread to draw a frame of one picture."""
    face = PhotoFace(bundle)
    spent = []
    for number in range(frames):
        start = time.thread_time()
        face.draw(0, MouthShape(0.05 + 0.9 * number / frames, number / frames, 0.0, 0.4))
        spent.append(time.thread_time() - start)
    return 1000 * statistics.median(spent)


def peak_mib() -> float:
    """Largest resident size so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    with TemporaryDirectory() as folder:
        photo, video = Path(folder) / "photo.png", Path(folder) / "video.mp4"
        Image.fromarray(skimage.data.astronaut()).save(photo)
        prepare(photo)  # loads OpenCV
        bundle, wall, cpu = prepare(photo)
        print(f"photograph 512x512 prepared: {wall:.2f} s, {cpu:.2f} s of CPU")
        print(f"a frame drawn: {draw_ms(bundle):.2f} ms of CPU, one thread")
        write_video(video, seconds)
        before = peak_mib()
        bundle, wall, cpu = prepare(video)
        print(f"video of {len(bundle.pictures)} pictures prepared: {wall:.1f} s, {cpu:.1f} s of CPU")
        print(f"peak memory: {before:.0f} MiB before, {peak_mib():.0f} MiB after")


if __name__ == "__main__":
    main()
