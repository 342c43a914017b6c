"""Lips say what is heard, in three languages and five frame rates, whatever the level and over noise.

The bounds lie between what is promised (in comments) and what is measured: pixels and codecs add noise.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.lip_measures import PAUSE_EDGE_S
from tests.support.lip_speech import (
    RATES,
    TEXTS,
    VOICES,
    listened,
    loudness_mouth,
    measured,
    noise,
    openings,
    sound_of,
    speech,
)

from avatar_core.limits import LIP_RATE

PAUSE = np.zeros(2 * LIP_RATE, np.float32)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("voice", VOICES)
def test_lips_open_close_and_round_with_the_phonemes(voice: str, fps: int) -> None:
    measures = measured(listened(sound_of(voice), fps), fps, speech(voice).phonemes)
    assert measures.contrast > 6  # 2 is promised
    assert measures.rounding < 0.72  # 0.8 is promised
    assert abs(measures.lag_ms) <= 12  # 20 is promised
    assert measures.correlation > 0.75
    assert measures.pauses < 0.02  # 0.05 is promised
    assert measures.closures_seen > 0.85
    assert measures.peak > 0.8


@pytest.mark.parametrize("language", TEXTS)
def test_a_mouth_that_only_follows_loudness_fails_the_same_measures(language: str) -> None:
    fps = 15
    loud = measured(loudness_mouth(sound_of(language), fps), fps, speech(language).phonemes)
    quiet = loudness_mouth(sound_of(language) * np.float32(0.1), fps)
    assert loud.contrast < 4
    assert loud.rounding > 0.8
    assert loud.closures_seen < 0.75
    assert openings(quiet).mean() < 0.2 * openings(loudness_mouth(sound_of(language), fps)).mean()


@pytest.mark.parametrize("gain", [0.1, 2.0])
@pytest.mark.parametrize("voice", VOICES)
def test_level_does_not_matter(voice: str, gain: float) -> None:
    as_is = openings(listened(sound_of(voice), 25))
    other = np.round(sound_of(voice) * gain * 32767) / 32767
    assert np.abs(openings(listened(other.astype(np.float32), 25)) - as_is).max() < 0.03


@pytest.mark.parametrize("voice", VOICES)
def test_clipping_hardly_matters(voice: str) -> None:
    as_is = openings(listened(sound_of(voice), 25))
    clipped = openings(listened(np.clip(sound_of(voice) * 10, -1, 1), 25))
    assert clipped.mean() == pytest.approx(as_is.mean(), rel=0.15)
    assert np.abs(clipped - as_is).mean() < 0.06


@pytest.mark.parametrize("fps", [12, 30])
@pytest.mark.parametrize("voice", VOICES)
def test_closed_before_between_and_after_over_noise(voice: str, fps: int) -> None:
    sound = np.concatenate([PAUSE, sound_of(voice), PAUSE])
    phonemes = [(start + 2, end + 2, ipa) for start, end, ipa in speech(voice).phonemes]
    phonemes = [(0, 2, ""), *phonemes, (phonemes[-1][1], len(sound) / LIP_RATE, "")]
    shapes = listened(sound + noise(len(sound), -50), fps)
    measures = measured(shapes, fps, phonemes)
    assert measures.pauses < 0.05
    assert measures.contrast > 4
    assert measures.rounding < 0.7
    edge = int((2 - PAUSE_EDGE_S) * fps)
    assert openings(shapes)[:edge].max() < 0.05
    assert openings(shapes)[-edge:].max() < 0.05


@pytest.mark.parametrize("dbfs", [-np.inf, -90, -70, -60, -50, -40])
def test_without_speech_closed_from_the_first_frame_to_the_last(dbfs: float) -> None:
    silence = np.zeros(LIP_RATE // 8, np.float32)
    hiss = noise(10 * LIP_RATE, dbfs)
    for sound in (hiss, np.concatenate([silence, hiss, silence, hiss])):
        assert openings(listened(sound, 25)).max() < 0.05


@pytest.mark.parametrize("language", TEXTS)
def test_quiet_speech_in_noise_still_moves_the_lips_rightly(language: str) -> None:
    sound = sound_of(language) * np.float32(0.1)
    shapes = listened(sound + noise(len(sound), -50), 15)  # some 5 dB of speech above the noise
    measures = measured(shapes, 15, speech(language).phonemes)
    assert measures.contrast > 4
    assert measures.rounding < 0.8
    assert abs(measures.lag_ms) <= 20
    assert openings(shapes).mean() > 0.6 * openings(listened(sound, 15)).mean()


@pytest.mark.parametrize("voice", VOICES)
def test_motion_is_smooth_and_lively(voice: str) -> None:
    opening = openings(listened(sound_of(voice), 30))
    spikes = np.abs(opening[1:-1] - (opening[:-2] + opening[2:]) / 2)
    assert np.abs(np.diff(opening)).max() < 0.7  # no frame jumps from closed to open
    assert np.percentile(spikes, 99) < 0.35
    assert opening.std() > 0.18


def test_sibilants_show_teeth_and_closures_press() -> None:
    phonemes = speech("en-us").phonemes
    shapes = listened(sound_of("en-us"), 30)
    heard = [next((p for a, b, p in phonemes if a <= (i + 0.5) / 30 < b), "") for i in range(len(shapes))]
    pressed = [shape.press for shape, ipa in zip(shapes, heard, strict=True) if ipa in ("m", "b", "p")]
    open_pressed = [shape.press for shape, ipa in zip(shapes, heard, strict=True) if ipa[:1] in ("ɑ", "æ")]
    teeth = [shape.teeth for shape, ipa in zip(shapes, heard, strict=True) if ipa in ("s", "z", "ʃ")]
    no_teeth = [shape.teeth for shape, ipa in zip(shapes, heard, strict=True) if ipa in ("uː", "m", "w")]
    assert np.mean(pressed) > 0.6 > 0.2 > np.mean(open_pressed)
    assert np.mean(teeth) > 0.5 > 0.35 > np.mean(no_teeth)
