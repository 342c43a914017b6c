"""What is said to test lips, in which voices, and what a listener makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray
from tests.support.espeak_reference import Reference, speak
from tests.support.lip_measures import LipMeasures, Phonemes, measure

from avatar_core.limits import LIP_RATE
from avatar_core.timeline import frame_count
from avatar_inference.preview.lips import LipListener
from avatar_inference.preview.mouth import MouthShape

Sound = NDArray[np.float32]

TEXTS = {
    "en-us": (
        "My mother bought a big map of Alabama, but Papa put the apple pie in the boat. "
        "Peter, Bob and Emma come from a calm and happy farm by the water. "
        "We see three green trees, and he needs a piece of cheese. "
        "You should move the blue spoon to the room; who knew the moon was so low? "
        "Father asked about the large car, and the bar was far away. "
        "Show me the window, please, before the snow goes."
    ),
    "fr": (
        "Papa a pris la pomme et le bateau, mais maman a mis la table. "
        "Il y a quatre-vingts animaux dans la montagne. "
        "Mimi vit ici, et elle lit des livres difficiles toute l'année. "
        "Où est le fou qui joue de la flûte sous la lune? "
        "Beaucoup de bébés boivent de l'eau chaude au bord du lac. "
        "Nous voulons tous un bon chapeau rouge, un manteau doux et de jolis oiseaux."
    ),
    "de": (
        "Mama und Papa haben am Abend Apfelmus mit Pfannkuchen gemacht. "
        "Der Bauer sah das blaue Boot und kam aber bald wieder. "
        "Sieben Bienen fliegen hier über die Wiese, und viele Ziegen sehen sie nie. "
        "Du musst gut zuhören, Bruder, wo der Mond so groß und rot über dem Ufer steht. "
        "Am Bahnhof warten alte Damen, sagt der Pate, und der Mann lacht laut."
    ),
}
VOICES = ("en-us", "en-us+f5", "fr", "fr+m5", "de", "de+f5")
"""Those with a variant are among the voices the classifier was not trained on."""
RATES = (12, 15, 18, 25, 30)


@cache
def speech(voice: str) -> Reference:
    """The text of a voice's language, some 25 s."""
    return speak(TEXTS[voice.partition("+")[0]], voice)


@cache
def sound_of(voice: str) -> Sound:
    """`speech` as a listener gets it: float32 at 16 kHz, peaks at 0.5. Not to be changed."""
    sound = speech(voice).sound(LIP_RATE)
    sound *= np.float32(0.5) / np.abs(sound).max()
    sound.setflags(write=False)
    return sound


def listened(sound: Sound, fps: int | Fraction) -> Sequence[MouthShape]:
    """The mouths of all frames that cover `sound`."""
    listener = LipListener(Fraction(fps))
    return [*listener.push(sound), *listener.flush(frame_count(len(sound), LIP_RATE, Fraction(fps)))]


def openings(shapes: Sequence[MouthShape]) -> NDArray[np.float64]:
    """Opening of each frame, float64 [F]."""
    return np.array([shape.opening for shape in shapes])


def measured(shapes: Sequence[MouthShape], fps: int, phonemes: Phonemes) -> LipMeasures:
    """The measures of a plain face: lips 0.2 thick that open by 0.8, from 0.5 to 1 wide."""
    opening = openings(shapes)
    spread = np.array([shape.spread for shape in shapes])
    return measure(opening, 0.5 + 0.5 * spread, 0.2 + 0.8 * opening, fps, phonemes, full=1.0)


def noise(count: int, dbfs: float) -> Sound:
    """White noise of that mean square, float32 at 16 kHz, always the same."""
    return (np.random.default_rng(7).normal(size=count) * 10 ** (dbfs / 20)).astype(np.float32)


def loudness_mouth(sound: Sound, fps: int) -> list[MouthShape]:
    """What many avatars do: the louder, the wider open."""
    frames = np.array_split(sound.astype(np.float64), round(len(sound) * fps / LIP_RATE))
    loud = np.array([np.sqrt(np.mean(frame**2)) for frame in frames])
    return [MouthShape(opening=min(1.0, level / 0.15)) for level in loud]
