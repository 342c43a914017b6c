"""What the networks that hear and draw are given, by those who make expectations and by the tests alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.inference.musetalk.expected import seeded

UNET_SEED, VAE_SEED, WHISPER_SEED = 11, 12, 13
BATCH = 4
"""Frames drawn at once."""
PIXEL_SCALE = 1 / 4
"""What the VAE's last convolution is scaled by, so that pixels are spread and not saturated."""

RATES = (12, 13, 15, 17, 18, 20, 24, 25, 29, 30)
"""Frames a second that the window arithmetic is compared at; 29 also as 30000/1001."""
LENGTHS = (640, 1_280, 1_600, 3_200, 16_001, 18_560, 160_000, 480_001, 1_000_000)
"""Samples of sound; some rates have no frame at the shortest ones."""
SOUND_SECONDS = 31.3
"""More than one block; what is compared fills one and begins another."""
REAL_RATES = (15, 25)
"""Frames a second that real tokens are compared at."""


def sound(samples: int) -> NDArray[np.float32]:
    """-1..1: a rising triangle wave in syllables over faint noise. No libm, so it is everywhere the same."""
    at = np.arange(samples, dtype=np.int64)
    phase = (at * (200 + at // 4_000)) % 16_000
    wave = np.abs(phase - 8_000).astype(np.float32) / np.float32(4_000) - np.float32(1)
    syllables = np.maximum(0, 1_600 - np.abs(at % 4_800 - 1_600)).astype(np.float32) / np.float32(3_200)
    noise = seeded.uniform(3, "noise", (samples,)) - np.float32(0.5)
    return wave * syllables + noise * np.float32(0.01)


def crop() -> NDArray[np.uint8]:
    """uint8 RGB [256, 256, 3] that holds every level in every channel, above and below the middle."""
    picture = seeded.picture(7, 256, 256)
    levels = np.arange(256, dtype=np.uint8)
    picture[60], picture[200] = levels[:, None], levels[::-1, None]
    return picture


def latents(seed: int, channels: int) -> NDArray[np.float32]:
    """float32 [BATCH, channels, 32, 32], as spread as scaled latents are."""
    return (seeded.uniform(seed, "latents", (BATCH, channels, 32, 32)) - np.float32(0.5)) * np.float32(3.4)


def tokens(seed: int) -> NDArray[np.float32]:
    """float32 [BATCH, 50, 384], without positions; the last frame hears nothing."""
    made = (seeded.uniform(seed, "tokens", (BATCH, 50, 384)) - np.float32(0.5)) * np.float32(3.4)
    made[-1] = 0
    return made


def vae_weights(shapes: seeded.Shapes, seed: int) -> seeded.Arrays:
    made = seeded.weights(shapes, seed)
    made["decoder.conv_out.weight"] *= np.float32(PIXEL_SCALE)
    return made


def whisper_weights(shapes: seeded.Shapes, seed: int) -> seeded.Arrays:
    """With attention that is neither even nor on one place: the logits of queries and keys are of size 1."""
    made = seeded.weights(shapes, seed)
    for name in made:
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            made[name] *= np.float32(0.7)
    return made
