"""Every limit and default in one place; schemas, servers, docs and messages take them from here."""

from __future__ import annotations

from dataclasses import dataclass

FPS_MIN, FPS_MAX = 12, 30
BATCH_MIN, BATCH_MAX = 1, 4
HEIGHT_MIN, HEIGHT_MAX = 128, 2160

SAMPLE_RATE_MIN, SAMPLE_RATE_MAX = 8_000, 48_000
LIP_RATE = 16_000
"""Lips are drawn from 16 kHz mono sound, whatever the sound track's rate."""
MAX_AUDIO_SECONDS = 3600
MAX_AUDIO_CHUNK_BYTES = 256 * 1024
MAX_SOURCE_CHUNK_BYTES = 1024 * 1024
MAX_SOURCE_BYTES = 256 * 1024 * 1024
MAX_AUDIO_FILE_BYTES = 256 * 1024 * 1024
"""Of a sound that is fetched: it lies beside the speech on a scratch disk of 1 GiB."""
FETCH_SECONDS = 120
SOURCE_SIDE_MIN, SOURCE_SIDE_MAX = 128, 8192
SOURCE_PIXELS_MAX = 40_000_000
SOURCE_SECONDS_MAX, SOURCE_PICTURES_MAX = 60, 1800
SOURCE_VIDEO_PIXELS_MAX = 3600 * 3840 * 2160
"""Pixels decoded of one video in all: a minute of 4K at 60 pictures a second."""
LANDMARK_PICTURES_MAX = 7200
"""A minute at 120 pictures per second; their points fit into one message."""
PICTURE_SIDE_MAX = 1280
"""Larger photographs and videos are scaled down to this long side."""
PICTURE_SIDE_LOW, PICTURE_SIDE_HIGH = 128, 4096
"""What may be asked for instead."""
MOTION_FPS_MIN, MOTION_FPS_MAX = 5, 60
MARGIN_MAX, SHIFT_MAX, CHEEK_MAX = 400, 400, 256
"""Pixels of the source, pixels of the source either way, 512ths of the square about the face."""
FACE_SIDE_MIN = 64
READ_AHEAD_SECONDS = 32
"""Two more than an engine may want to hear at once, or it would wait for sound that waits for it."""
SLOW_READER_SECONDS = 30

LEAD_IN_MS, LEAD_IN_MS_MAX = 120, 2000
TAIL_MS, TAIL_MS_MAX = 300, 5000
LATENCY_BUDGET_MS, LATENCY_BUDGET_MS_MIN, LATENCY_BUDGET_MS_MAX = 250, 50, 5000

MANIFEST_BYTES_MAX = 1024 * 1024
SESSION_NAME_MAX = 52
"""Names of Jobs, pods and labels made of it stay within 63."""
PROMPT_BYTES_MAX = 8 * 1024
TEXT_BYTES_MAX = 16 * 1024
MAX_TOKENS_DEFAULT, MAX_TOKENS_MAX = 100, 4096
TIMEOUT_SECONDS_DEFAULT, TIMEOUT_SECONDS_MAX = 120, 86_400
START_TIMEOUT_SECONDS_DEFAULT, START_TIMEOUT_SECONDS_MAX = 300, 86_400
VIDEO_TTL_SECONDS_DEFAULT, VIDEO_TTL_SECONDS_MAX = 3600, 30 * 86_400
RETRY_MAX = 1000
REPLY_CHARACTERS_MAX = 64 * 1024
"""What a status holds of a reply; 4096 tokens are hardly ever more than a third of it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A named pair of speed and quality; explicit fields of a spec win over it."""

    fps: int
    batch_size: int
    max_tokens: int = MAX_TOKENS_DEFAULT


PROFILES: dict[str, Profile] = {
    "fast": Profile(fps=12, batch_size=1),
    "balanced": Profile(fps=15, batch_size=2),
    "quality": Profile(fps=18, batch_size=2),
    "legacy": Profile(fps=25, batch_size=4, max_tokens=150),
}
DEFAULT_PROFILE = "balanced"
