"""Labelled speech of espeak-ng: many languages and voices, phonemes known to the sample."""

from __future__ import annotations

import numpy as np
from tests.support.espeak_reference import speak
from training.labelled import UNKNOWN, Labelled, mouths_of, shuffled_text

from avatar_inference.preview.visemes import Viseme

LANGUAGES = ("en-us", "en", "fr", "de", "es", "it", "nl", "cs", "fi", "hu", "ro", "el", "ru", "hi")
VARIANTS = (
    "", "+m1", "+m2", "+m3", "+m4", "+m7", "+f1", "+f2", "+f3", "+f4", "+klatt", "+klatt2", "+klatt4",
    "+Andy", "+Annie", "+linda", "+steph", "+Michael", "+max", "+belinda", "+Denis", "+Alicia",
)  # fmt: skip
HELD_OUT_LANGUAGES = ("pl", "sv", "tr")
HELD_OUT_VARIANTS = ("+m5", "+f5", "+klatt3", "+Andrea", "+Reed", "+adam")
_VOICELESS_STOPS = tuple("ptkcqʈ")
_RELEASE_S = 0.015


def spoken(language: str, variant: str, random: np.random.Generator) -> Labelled:
    """About half a minute in one voice."""
    text = shuffled_text(language, 60, random)
    speed, pitch = int(random.uniform(120, 230)), int(random.uniform(25, 75))
    reference = speak(text, language + variant, speed, pitch)
    mouths = mouths_of(reference.phonemes)
    for start, end, ipa in reference.phonemes:
        if ipa.startswith(_VOICELESS_STOPS) and end - start > _RELEASE_S:
            mouths.append((end - _RELEASE_S, UNKNOWN))  # after the burst the lips are on their way
    mouths.append((len(reference.pcm) / reference.rate, Viseme.SILENCE))
    return Labelled(reference.sound(), tuple(sorted(mouths)))
