"""Exact arithmetic of frames and samples: a frame rate is a fraction, a position is a whole number.

Frame i covers [i/fps, (i+1)/fps). Floats never decide how many frames there are: 0.07 * 100 is not 7.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import FPS_MAX, FPS_MIN

_FPS_HELP = (
    f"must be {FPS_MIN} to {FPS_MAX} frames per second (a number or a fraction such as 30000/1001): "
    f"below {FPS_MIN} lips no longer look as if they spoke, above {FPS_MAX} nothing is gained"
)


def parse_fps(value: object, field: str = "fps") -> Fraction:
    """Reads a frame rate from a number, "15", "29.97" or "30000/1001".

    Returns:
        A fraction from 12 to 30, its terms at most 1,000,000.

    Raises:
        InvalidInputError: not a number, not finite, or out of range; names `field`.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
            raise ValueError
        if isinstance(value, float):
            if not isfinite(value):
                raise ValueError
            value = repr(value)
        if isinstance(value, str) and len(value) > 32:
            raise ValueError
        fps = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{value!r} {_FPS_HELP}", field=field) from None
    if not FPS_MIN <= fps <= FPS_MAX or fps.numerator > 1_000_000 or fps.denominator > 1_000_000:
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{value!r} {_FPS_HELP}", field=field)
    return fps


def frames_before(samples: int, rate: int, fps: Fraction) -> int:
    """Number of frames that begin before sample `samples` of a track of `rate` samples per second.

    The ceiling of samples/rate * fps: as many frames as it takes to cover all samples.
    """
    return -(-samples * fps.numerator // (rate * fps.denominator))


def frame_count(samples: int, rate: int, fps: Fraction) -> int:
    """Frames of a whole video: F = max(1, ceil(seconds * fps))."""
    return max(1, frames_before(samples, rate, fps))


def samples_until(frame: int, rate: int, fps: Fraction) -> int:
    """First sample at or after the start of `frame`; with F frames, the length the sound is padded to."""
    return -(-frame * rate * fps.denominator // fps.numerator)


def milliseconds_to_samples(milliseconds: int, rate: int) -> int:
    """Samples in so many milliseconds, rounded down."""
    return milliseconds * rate // 1000


def ping_pong(position: int, length: int) -> int:
    """Where an endless walk 0..length..0..length.. stands after `position` steps (whole numbers >= 0)."""
    if length <= 0:
        return 0
    step = position % (2 * length)
    return step if step <= length else 2 * length - step
