"""What a mouth does in one frame, as a handful of numbers between listening and drawing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MouthShape:
    """One frame's mouth; every number is 0 to 1.

    Attributes:
        opening: distance between the inner lips; 0 closed, 1 a wide open "ah".
        spread: distance between the corners; 0 puckered as in "oo", 0.5 at rest, 1 drawn wide as in "ee".
        press: how firmly closed lips are pressed together, as in "m", "b", "p".
        teeth: how much the upper teeth show, as in "s", "f", "ee".
    """

    opening: float = 0.0
    spread: float = 0.5
    press: float = 0.0
    teeth: float = 0.0


REST = MouthShape()
