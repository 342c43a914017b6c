"""What lips can be seen to do: fifteen kinds of mouth, and how they blend.

Speech sounds that look alike share a viseme. Neighbours colour each other as in Cohen and Massaro, "Modeling
coarticulation in synthetic visual speech" (1993): a parameter of the mouth is the mean of the visemes around,
weighted by how likely each is and how much it insists. "b" insists that the lips meet and leaves the corners
to the vowels; "k" insists on nothing.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from avatar_inference.preview.mouth import MouthShape


class Viseme(IntEnum):
    """The kinds of mouth the classifier tells apart; named by typical sounds."""

    SILENCE = 0
    P = 1
    F = 2
    T = 3
    S = 4
    SH = 5
    K = 6
    R = 7
    A = 8
    E = 9
    I = 10  # noqa: E741
    O = 11  # noqa: E741
    U = 12
    UE = 13
    SCHWA = 14


_TABLE = {  # opening, spread, press, teeth, then how much each is insisted on
    Viseme.SILENCE: ((0.00, 0.50, 0.10, 0.0), (1.5, 0.5, 1.0, 1.0)),
    Viseme.P: ((0.00, 0.45, 1.00, 0.0), (5.0, 0.3, 4.0, 1.0)),
    Viseme.F: ((0.10, 0.50, 0.15, 0.8), (2.0, 0.5, 1.0, 2.0)),
    Viseme.T: ((0.25, 0.55, 0.00, 0.4), (0.5, 0.3, 1.0, 0.6)),
    Viseme.S: ((0.14, 0.62, 0.00, 1.0), (1.2, 0.6, 1.0, 2.0)),
    Viseme.SH: ((0.20, 0.25, 0.00, 0.9), (1.2, 1.0, 1.0, 2.0)),
    Viseme.K: ((0.30, 0.50, 0.00, 0.2), (0.3, 0.2, 1.0, 0.4)),
    Viseme.R: ((0.25, 0.30, 0.00, 0.2), (0.6, 0.7, 1.0, 0.6)),
    Viseme.A: ((1.00, 0.55, 0.00, 0.1), (1.2, 0.8, 1.0, 0.8)),
    Viseme.E: ((0.50, 0.85, 0.00, 0.4), (1.0, 1.0, 1.0, 0.8)),
    Viseme.I: ((0.25, 1.00, 0.00, 0.6), (1.0, 1.2, 1.0, 0.8)),
    Viseme.O: ((0.55, 0.10, 0.00, 0.0), (1.0, 1.2, 1.0, 0.8)),
    Viseme.U: ((0.25, 0.00, 0.00, 0.0), (1.0, 1.5, 1.0, 0.8)),
    Viseme.UE: ((0.30, 0.10, 0.00, 0.1), (1.0, 1.2, 1.0, 0.8)),
    Viseme.SCHWA: ((0.45, 0.50, 0.00, 0.2), (0.7, 0.5, 1.0, 0.6)),
}
_TOUCH = 0.04
"""Lips are soft: those that nearly meet, meet."""
_SHAPES = np.array([_TABLE[viseme][0] for viseme in Viseme])
_INSISTENCE = np.array([_TABLE[viseme][1] for viseme in Viseme])
_PULL = np.hstack([_SHAPES * _INSISTENCE, _INSISTENCE])
PULLS = _PULL.shape[1]


def pulls(likely: NDArray[np.float32]) -> NDArray[np.float64]:
    """How strongly, and where to, each moment pulls the mouth.

    Args:
        likely: probabilities of the visemes, float32 [n, len(Viseme)].

    Returns:
        float64 [n, PULLS]: for each parameter the sum of value times insistence, then of insistence.
    """
    result: NDArray[np.float64] = (likely[:, None, :] @ _PULL)[:, 0]  # one row a product, as in band_energies
    return result


def blend(pulled: NDArray[np.float64], weights: NDArray[np.float64]) -> MouthShape:
    """The mouth between all that pulls it: `pulled` is float64 [n, PULLS], `weights` [n], not all zero."""
    total = (pulled * weights[:, None]).sum(axis=0)
    count = PULLS // 2
    opening, spread, press, teeth = (total[:count] / total[count:]).tolist()
    return MouthShape(max(0.0, opening - _TOUCH) / (1 - _TOUCH), spread, press, teeth)
