"""How well lips follow speech, and how fast: `python -m benchmarks.lips`.

Prints the measures of tests/support/lip_measures.py for voices and frame rates, for the classifier and for a
mouth that merely follows loudness, and draws some seconds of mouths over their phonemes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import matplotlib as mpl
import numpy as np
from tests.support.lip_measures import LipMeasures
from tests.support.lip_speech import (
    RATES,
    VOICES,
    Sound,
    listened,
    loudness_mouth,
    measured,
    noise,
    openings,
    sound_of,
    speech,
)

from avatar_core.limits import LIP_RATE
from avatar_inference.preview.lips import LipListener
from avatar_inference.preview.mouth import MouthShape

mpl.use("Agg")
import matplotlib.pyplot as plt

_HEAD = (
    f"{'voice':10} {'fps':>3}  {'open':>5} {'m/b/p':>6} {'ratio':>6}  {'w/h ratio':>9}"
    f"  {'lag ms':>6} {'corr':>5}  {'pauses':>6}  {'seen':>5}  {'-20 dB':>7}"
)


def table_row(name: str, fps: int, measures: LipMeasures, quieter: float) -> str:
    """One line under `_HEAD`."""
    m = measures
    return (
        f"{name:10} {fps:3}  {m.open_vowels:5.2f} {m.closures:6.3f} {m.contrast:6.1f}  {m.rounding:9.2f}"
        f"  {m.lag_ms:+6.0f} {m.correlation:5.2f}  {m.pauses:6.3f}  {m.closures_seen:5.0%}  {quieter:+7.1%}"
    )


def quieter_by(mouths: Sequence[MouthShape], quiet: Sequence[MouthShape]) -> float:
    """How much the mean opening changes when the sound is 20 dB quieter."""
    return float(openings(quiet).mean() / openings(mouths).mean() - 1)


def print_measures() -> None:
    """The measures of each voice and rate."""
    print(_HEAD)
    for voice in VOICES:
        sound, phonemes = sound_of(voice), speech(voice).phonemes
        for fps in RATES:
            mouths, quiet = listened(sound, fps), listened(sound * np.float32(0.1), fps)
            print(table_row(voice, fps, measured(mouths, fps, phonemes), quieter_by(mouths, quiet)))
        noisy = listened(sound + noise(len(sound), -50), 15)
        print(table_row("  + noise", 15, measured(noisy, 15, phonemes), 0.0), " (white, -50 dBFS)")
        loud, quiet_loud = loudness_mouth(sound, 15), loudness_mouth(sound * np.float32(0.1), 15)
        print(table_row("  loudness", 15, measured(loud, 15, phonemes), quieter_by(loud, quiet_loud)))


def print_speed(sound: Sound, chunk: int) -> None:
    """Times faster than real time, in chunks of so many samples."""
    listener = LipListener(Fraction(15))
    begun = time.process_time()
    for at in range(0, len(sound), chunk):
        listener.push(sound[at : at + chunk])
    spent = time.process_time() - begun
    print(
        f"{chunk / LIP_RATE * 1000:5.0f} ms chunks: {len(sound) / LIP_RATE / spent:.0f} x real time, one core"
    )


def draw(path: Path, voice: str, fps: int, seconds: float) -> None:
    """Opening, spread, press and teeth of the first seconds, the phonemes above."""
    mouths = listened(sound_of(voice)[: int(seconds * LIP_RATE)], fps)
    times = (np.arange(len(mouths)) + 0.5) / fps
    figure, axes = plt.subplots(5, 1, figsize=(16, 9), sharex=True, height_ratios=[2, 2, 2, 1, 1])
    sound = sound_of(voice)[: int(seconds * LIP_RATE)]
    axes[0].specgram(sound + 1e-6, NFFT=400, noverlap=240, Fs=LIP_RATE, vmin=-120)
    for axis, name in zip(axes[1:], ("opening", "spread", "press", "teeth"), strict=True):
        values = [getattr(mouth, name) for mouth in mouths]
        axis.plot(times, values, marker=".")
        axis.set(ylabel=name, ylim=(-0.05, 1.05))
    for start, end, ipa in speech(voice).phonemes:
        if end < seconds:
            axes[0].text((start + end) / 2, 7300, ipa, ha="center", color="white")
            for axis in axes:
                axis.axvline(start, color="0.8", linewidth=0.5)
    axes[0].set(ylabel="Hz", xlim=(0, seconds), title=f"{voice} at {fps} frames a second")
    axes[-1].set(xlabel="seconds")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    print(path)


def main() -> None:
    """Measures, times, draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"), help="folder for the pictures")
    out = parser.parse_args().out
    print_measures()
    for chunk in (320, 1600, LIP_RATE):
        print_speed(np.tile(sound_of("en-us"), 2), chunk)
    for voice in ("en-us", "fr+m5", "de"):
        draw(out / f"lips-{voice}.png", voice, 15, 8.0)


if __name__ == "__main__":
    main()
