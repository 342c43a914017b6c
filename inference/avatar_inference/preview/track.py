"""A steady mouth in every picture, from the mouths that were read in some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar_inference.preview.parting import Mouth
from avatar_inference.source.scan import Look, Scan
from avatar_inference.source.track import Row, settle


@dataclass(frozen=True, slots=True)
class Face:
    """A face in one picture: its width and its mouth, in pixels of the picture."""

    width: float
    mouth: Mouth


def settle_faces(scan: Scan[Mouth]) -> list[Face | None]:
    """The followed face in every picture; None where it is not to be seen."""
    rows = settle(scan, _row)
    return [None if row is None else Face(float(row[0]), Mouth(*map(float, row[1:]))) for row in rows]


def _row(look: Look[Mouth]) -> Row:
    assert look.face is not None
    assert look.features is not None
    mouth = look.features
    return np.array([look.face.width, mouth.x, mouth.y, mouth.half_width, mouth.tilt, mouth.sag, mouth.teeth])
