"""Speech whose mouths are known, and what an IPA phoneme looks like on the lips."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE
from avatar_inference.preview.spectrum import HALF_WINDOW, HOP
from avatar_inference.preview.visemes import Viseme

UNKNOWN = -1
"""No viseme: such moments are left out."""
_SENTENCES: dict[str, list[str]] = json.loads(Path(__file__).with_name("sentences.json").read_text("utf-8"))
_LETTERS = {
    Viseme.P: "mbpβɱ",
    Viseme.F: "fvʋɸ",
    Viseme.T: "tdnlθðɾrɬɭɲʎʈɖɳɫ",
    Viseme.S: "sz",
    Viseme.SH: "ʃʒɕʑʂʐ",
    Viseme.K: "kɡgŋxhɣʁχqɦʔçcɟʝɴ",
    Viseme.R: "ɹɻ",
    Viseme.A: "aɑæɐʌ",
    Viseme.E: "eɛ",
    Viseme.I: "iɪj",
    Viseme.O: "oɔɒ",
    Viseme.U: "uʊwʉɯʍ",
    Viseme.UE: "yøœɥʏɵ",
    Viseme.SCHWA: "əɜɚɨɤᵻɘɝ",
}
_VISEME_OF = {letter: viseme for viseme, letters in _LETTERS.items() for letter in letters}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Sound and its mouths.

    Attributes:
        sound: float32 [n], 16 kHz mono.
        mouths: (start, viseme) in seconds, in order; each lasts until the next.
    """

    sound: NDArray[np.float32]
    mouths: tuple[tuple[float, int], ...]

    def labels(self) -> NDArray[np.int64]:
        """The viseme in the middle of each spectrum, int64; UNKNOWN before the first."""
        count = max(0, (len(self.sound) - 2 * HALF_WINDOW) // HOP + 1)
        times = (np.arange(count) * HOP + HALF_WINDOW) / LIP_RATE
        visemes = np.array([UNKNOWN, *(viseme for _, viseme in self.mouths)])
        return visemes[np.searchsorted([start for start, _ in self.mouths], times, side="right")]


def mouths_of(phonemes: Iterable[tuple[float, float, str]]) -> list[tuple[float, int]]:
    """(start, viseme) of (start, end, ipa); a diphthong goes through its parts in equal times."""
    mouths = []
    for start, end, ipa in phonemes:
        parts = _visemes_of(ipa)
        mouths += [(start + (end - start) * i / len(parts), part) for i, part in enumerate(parts)]
    return mouths


def _visemes_of(ipa: str) -> list[int]:
    if not ipa:
        return [Viseme.SILENCE]
    if ipa.startswith("("):  # espeak-ng changes the language
        return [UNKNOWN]
    return list(dict.fromkeys(_VISEME_OF[letter] for letter in ipa if letter in _VISEME_OF)) or [UNKNOWN]


def shuffled_text(language: str, words: int, random: np.random.Generator) -> str:
    """Words of a language in random order, with commas and stops: every sound meets every other."""
    vocabulary = " ".join(_SENTENCES[language]).split()
    chosen = [str(word).strip(",.;:?") for word in random.choice(vocabulary, words)]
    return " ".join(word + str(random.choice(["", "", "", "", "", ",", "."])) for word in chosen) + "."
