"""The yardstick itself: known trajectories give known measures."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.lip_measures import measure, reference_opening
from tests.support.lip_speech import RATES, VOICES, speech

WORD = (
    (0.0, 0.4, ""),
    (0.4, 0.5, "m"),
    (0.5, 0.7, "ɑ"),
    (0.7, 0.8, "b"),
    (0.8, 1.0, "iː"),
    (1.0, 1.2, "u"),
    (1.2, 1.6, ""),
)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("late_ms", [-60, -20, 0, 7, 33])
def test_lag_is_found_to_the_millisecond_at_any_rate(fps: int, late_ms: int) -> None:
    phonemes = speech("de").phonemes
    times = (np.arange(int(20 * fps)) + 0.5) / fps
    opening = reference_opening(phonemes, times - late_ms / 1000)
    measures = measure(opening, opening + 1, opening + 1, fps, phonemes, full=1.0)
    assert measures.lag_ms == pytest.approx(late_ms, abs=1)
    assert measures.correlation > 0.99


def test_a_lead_in_is_taken_off() -> None:
    phonemes = speech("de").phonemes
    times = (np.arange(300) + 0.5) / 15 - 0.12
    opening = reference_opening(phonemes, times)
    measures = measure(opening, opening + 1, opening + 1, 15, phonemes, full=1.0, offset_s=0.12)
    assert abs(measures.lag_ms) <= 1


def test_every_number_counts_its_own_frames() -> None:
    fps = 10
    opening = np.array([0.04, 0.0, 0.02, 0.3, 0.1, 0.8, 0.9, 0.2, 0.4, 0.4, 0.3, 0.3, 0.3, 0.05, 0.01, 0])
    width = np.where(np.isin(np.arange(16), [10, 11]), 0.5, 2.0)
    measures = measure(opening * 10, width, np.full(16, 0.5), fps, WORD, full=10.0)
    assert measures.open_vowels == pytest.approx(0.85)
    assert measures.closures == pytest.approx(0.15)
    assert measures.contrast == pytest.approx(0.85 / 0.15)
    assert measures.rounding == pytest.approx(0.25)
    assert measures.pauses == pytest.approx(0.05)
    assert measures.closures_seen == pytest.approx(0.5)


@pytest.mark.parametrize("voice", VOICES)
def test_the_reference_covers_the_sound_and_holds_all_kinds_of_phonemes(voice: str) -> None:
    reference = speech(voice)
    assert len(reference.pcm) / reference.rate > 15
    edges = [
        (end, start)
        for (_, end, _), (start, _, _) in zip(reference.phonemes, reference.phonemes[1:], strict=False)
    ]
    assert all(end == start for end, start in edges)
    assert reference.phonemes[-1][1] == pytest.approx(len(reference.pcm) / reference.rate)
    first = [ipa[0] for _, _, ipa in reference.phonemes if ipa]
    for kind in ("aɑæʌɐ", "mbp", "uowʊ", "ie"):
        assert sum(letter in kind for letter in first) >= 12, kind


def test_a_voiceless_stop_begins_where_its_sound_stops() -> None:
    reference = speech("fr")
    sound = np.abs(reference.pcm.astype(int))
    silent = [
        float((sound[int(start * reference.rate) :][:200] < 100).mean())
        for start, _, ipa in reference.phonemes
        if ipa == "p"
    ]
    assert np.median(silent) > 0.9
