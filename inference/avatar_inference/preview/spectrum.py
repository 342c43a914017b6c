"""Sound as loudness in bands of the ear's scale, measured against how loud the voice has lately been.

Every 10 ms a Hann window of 25 ms goes through an FFT into triangular bands, equally spaced on the mel scale
(O'Shaughnessy 1987: mel = 2595 log10(1 + f / 700)). Decibels below the running speech level are what counts
later, so a recording 20 dB quieter looks the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_core.limits import LIP_RATE

HOP = LIP_RATE // 100
"""Samples from one spectrum to the next."""
HALF_WINDOW = LIP_RATE // 80
"""Spectrum k is centred on sample k * HOP + HALF_WINDOW."""
BANDS = 20
QUIETEST_DB = -60.0
"""The speech level never falls below this: what is quieter than any speech stays silence."""

_FFT = 512
_EDGE_LOW_HZ, _EDGE_HIGH_HZ = 80.0, 7600.0
_DECAY_DB = 6 * HOP / LIP_RATE


def _mel_bands() -> NDArray[np.float64]:
    """Weights [FFT bins, BANDS] of triangles, each as wide as to its neighbours' peaks."""
    lowest, highest = 2595 * np.log10(1 + np.array([_EDGE_LOW_HZ, _EDGE_HIGH_HZ]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    hz = np.arange(_FFT // 2 + 1)[:, None] * (LIP_RATE / _FFT)
    weights: NDArray[np.float64] = np.minimum((hz - low) / (peak - low), (high - hz) / (high - peak))
    return np.clip(weights, 0, None)


_HANN = np.hanning(2 * HALF_WINDOW + 1)[:-1]
_SINE_ENERGY = (_HANN.sum() / 2) ** 2 * 1.5 * _FFT / (2 * HALF_WINDOW)  # 1.5 bins: Hann's noise bandwidth
_MEL = _mel_bands() / _SINE_ENERGY


def band_energies(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Energy in each band, decibels below a full-scale sine.

    Args:
        samples: float32 [(n - 1) * HOP + 2 * HALF_WINDOW], -1..1.

    Returns:
        float64 [n, BANDS], -120 or more; row k is the window that starts at sample k * HOP.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * HALF_WINDOW)[::HOP]
    spectrum = np.fft.rfft(windows * _HANN, _FFT)
    power = spectrum.real**2 + spectrum.imag**2
    # One product a row: BLAS rounds a matrix of another height differently, and chunking must not show.
    energies: NDArray[np.float64] = (power[:, None, :] @ _MEL)[:, 0]
    return 10 * np.log10(energies + 1e-12)


def speech_levels(bands: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The running speech level: up at once, down by 6 dB a second.

    Args:
        bands: what `band_energies` gave, float64 [n, BANDS]. The lowest band, home of hum, does not count.
        level: the level before, decibels; QUIETEST_DB at the start of a stream.

    Returns:
        float64 [n], decibels.
    """
    loudness = 10 * np.log10((10 ** (bands[:, 1:] / 10)).sum(axis=1))
    levels = np.empty(len(bands))
    for index, loud in enumerate(loudness):
        level = max(float(loud), level - _DECAY_DB, QUIETEST_DB)
        levels[index] = level
    return levels
