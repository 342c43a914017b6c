"""Opens whatever a person gives: a photograph or a video, of bounded size, at the rate that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

from avatar_inference.source.photo import open_photo
from avatar_inference.source.source import Source, TimedPicture, check_file
from avatar_inference.source.video import open_video


def open_source(path: Path, side_max: int, fps: Fraction | None) -> Source:
    """Opens a photograph (JPEG, PNG, WebP) or a video of at most 60 s.

    Args:
        path: a local file.
        side_max: larger pictures are scaled down to this long side, in pixels.
        fps: pictures per second to take of a video; None takes all.

    Raises:
        InvalidInputError: InvalidPicture.
    """
    check_file(path)
    source = open_photo(path, side_max) or open_video(path, side_max)
    if fps is None:
        return source
    return replace(source, frames=lambda: at_rate(source.frames(), fps))


def at_rate(frames: Iterator[TimedPicture], fps: Fraction) -> Iterator[TimedPicture]:
    """The pictures that are on show at 0, 1/fps, 2/fps, ..., each once, at the first of those times.

    So the motion keeps its speed; a source slower than `fps` keeps its pictures.
    """
    shown: TimedPicture | None = None
    tick = 0
    for frame in frames:
        if shown is not None and frame.time_us > _time_us(tick, fps):
            yield shown._replace(time_us=_time_us(tick, fps))
            tick = -int(-frame.time_us * fps // 1_000_000)
        shown = frame
    if shown is not None:
        yield shown._replace(time_us=_time_us(tick, fps))


def part_of(source: Source, keep: range) -> Source:
    """A source of some of the pictures of another, in a row; the first is at 0."""

    def frames() -> Iterator[TimedPicture]:
        start = 0
        for index, frame in enumerate(islice(source.frames(), keep.start, keep.stop)):
            start = frame.time_us if index == 0 else start
            yield frame._replace(time_us=frame.time_us - start)

    return replace(source, frames=frames)


def _time_us(tick: int, fps: Fraction) -> int:
    return int(tick * 1_000_000 / fps)
