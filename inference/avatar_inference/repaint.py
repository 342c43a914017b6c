"""Between `RepaintOptions` and the contract's `Repaint`; what comes from a client is checked here."""

from __future__ import annotations

import numpy as np

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import CHEEK_MAX, MARGIN_MAX, SHIFT_MAX, SOURCE_SIDE_MAX
from avatar_inference.engine import MaskMode, RepaintOptions
from avatar_inference.landmarks import pack, unpack
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb

_MASKS: dict[MaskMode, pb.Repaint.Mask] = {
    "landmarks": pb.Repaint.MASK_LANDMARKS,
    "jaw": pb.Repaint.MASK_JAW,
    "raw": pb.Repaint.MASK_RAW,
    "neck": pb.Repaint.MASK_NECK,
}


def repaint_message(options: RepaintOptions) -> pb.Repaint:
    """Options as they are sent."""
    width, height = options.landmarks_size or (0, 0)
    return pb.Repaint(
        landmarks=b"" if options.landmarks is None else pack(np.asarray(options.landmarks, np.float32)),
        landmarks_width=width,
        landmarks_height=height,
        keep_jitter=not options.smooth,
        mask=_MASKS[options.mask],
        cheek_left=options.cheeks[0],
        cheek_right=options.cheeks[1],
        margin=options.margin,
        shift=options.shift,
        keep_ends=not options.still_ends,
    )


def repaint_options(message: pb.Repaint) -> RepaintOptions:
    """Options as they came; unset fields take their defaults.

    Raises:
        InvalidInputError: a field is out of its range.
    """
    usual = RepaintOptions()
    left = message.cheek_left if message.HasField("cheek_left") else usual.cheeks[0]
    right = message.cheek_right if message.HasField("cheek_right") else usual.cheeks[1]
    margin = message.margin if message.HasField("margin") else usual.margin
    _check("cheek_left", left, 0, CHEEK_MAX)
    _check("cheek_right", right, 0, CHEEK_MAX)
    _check("margin", margin or 0, 0, MARGIN_MAX)
    _check("shift", message.shift, -SHIFT_MAX, SHIFT_MAX)
    size = message.landmarks_width, message.landmarks_height
    _check("landmarks_width", size[0], 0, SOURCE_SIDE_MAX)
    _check("landmarks_height", size[1], 0, SOURCE_SIDE_MAX)
    return RepaintOptions(
        landmarks=unpack(message.landmarks) if message.landmarks else None,
        landmarks_size=size if all(size) else None,
        smooth=not message.keep_jitter,
        mask=_mask(message.mask),
        cheeks=(left, right),
        margin=margin,
        shift=message.shift,
        still_ends=not message.keep_ends,
    )


def _mask(value: int) -> MaskMode:
    if value == pb.Repaint.MASK_UNSPECIFIED:
        return RepaintOptions().mask
    for mode, number in _MASKS.items():
        if number == value:
            return mode
    raise _wrong("mask", f"{value} is unknown; must be one of {', '.join(_MASKS)}")


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _wrong(name, f"is {value}; must be {low} to {high}")


def _wrong(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field=f"config.repaint.{name}")
