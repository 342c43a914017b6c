"""One stream's sound on its way to features: counts samples, tells frames, holds what is not encoded yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar_core import limits
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.media.lip_sound import LipResampler
from avatar_core.timeline import frame_count, frames_before, samples_until
from avatar_inference.engine import FeatureStream
from avatar_inference.plan import SAMPLE_BYTES, RenderPlan

Sound = NDArray[np.int16]
"""int16 [n, channels]."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a piece of sound made ready: features of frames first, first+1, ..."""

    first: int
    features: Sequence[Any]


class Intake:
    """Counts one stream's timeline: lead-in, sound, tail.

    One thread may listen (`push`, `flush`, `end`) while another takes sound (`sound_for`).

    Args:
        plan: of the render, its fps already the effective one.
        listener: the engine's.
    """

    def __init__(self, plan: RenderPlan, listener: FeatureStream) -> None:
        self._plan = plan
        self._listener = listener
        self._resampler = LipResampler(plan.sample_rate, plan.channels)
        self._pieces: list[Sound] = []  # sound not taken yet
        self._pieces_lock = Lock()
        self._taken = 0  # samples the encoder has
        self._heard = 0  # frames whose features were handed out
        self.samples = 0  # on the timeline so far, lead-in included
        self.ended = False

    @property
    def seconds_ahead(self) -> float:
        """Sound received and not encoded yet."""
        return (self.samples - self._taken) / self._plan.sample_rate

    @property
    def frames_total(self) -> int | None:
        """Frames of the whole video; None until the end is known."""
        if not self.ended:
            return None
        return frame_count(self.samples, self._plan.sample_rate, self._plan.fps)

    def accept(self, pcm: bytes) -> list[Sound]:
        """Checks sound that follows and cuts it into pieces of half a second to be heard one by one.

        Little by little, the first frames need not wait for the rest of a long message, nor do other streams.

        Raises:
            InvalidInputError: empty, too large, split samples, after the end, or too much in all.
        """
        if self.ended:
            raise _misplaced("audio", "sound came after `end`; send `end` last")
        whole = SAMPLE_BYTES * self._plan.channels
        if not 0 < len(pcm) <= limits.MAX_AUDIO_CHUNK_BYTES or len(pcm) % whole:
            message = (
                f"{len(pcm)} bytes are not allowed; must be a multiple of {whole} bytes "
                f"(whole samples of every channel), 1 to {limits.MAX_AUDIO_CHUNK_BYTES} bytes"
            )
            raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="audio.pcm")
        received = self.samples + len(pcm) // whole
        if received > self._plan.max_audio_seconds * self._plan.sample_rate:
            message = f"more than {self._plan.max_audio_seconds} s of sound in one render are not allowed"
            raise InvalidInputError(Reason.AUDIO_TOO_LONG, message, field="audio.pcm")
        sound = np.frombuffer(pcm, dtype="<i2").reshape(-1, self._plan.channels)
        piece = self._plan.sample_rate // 2
        return [sound[at : at + piece] for at in range(0, len(sound), piece)]

    def push(self, sound: Sound) -> Heard:
        """Hears a piece that `accept` gave."""
        return self._hear([*self._start(), sound])

    def flush(self) -> Heard:
        """An utterance ends here: features of every frame that begins before this position."""
        if self.ended:
            raise _misplaced("flush", "`flush` came after `end`; send `end` last")
        frames = frames_before(self.samples, self._plan.sample_rate, self._plan.fps)
        return self._finish(frames, last=False)

    def end(self) -> Heard:
        """No more sound: adds the tail, pads to whole frames and gives the features of all frames left."""
        if self.ended:
            raise _misplaced("end", "`end` came twice")
        if self.samples == 0:
            message = "no sound was sent; send at least one sample before `end`"
            raise InvalidInputError(Reason.INVALID_AUDIO, message, field="audio.pcm")
        heard = self._hear([np.zeros((self._plan.tail_samples, self._plan.channels), np.int16)])
        self.ended = True
        rest = self._finish(frame_count(self.samples, self._plan.sample_rate, self._plan.fps), last=True)
        return Heard(heard.first, [*heard.features, *rest.features])

    def sound_for(self, frame: int) -> Sound:
        """The sound of a frame, int16 [n, channels], each sample once: all there is up to the frame's end.

        Only a frame drawn by a flush in its midst gets less than its full length; the next one gets the rest.
        After the end, silence pads the last frame.
        """
        until = samples_until(frame + 1, self._plan.sample_rate, self._plan.fps)
        with self._pieces_lock:
            parts = self._take(until - self._taken)
            if self.ended:
                padding = until - self._taken - sum(map(len, parts))
                parts.append(np.zeros((padding, self._plan.channels), np.int16))
            self._taken += sum(map(len, parts))
        return np.concatenate(parts) if parts else np.zeros((0, self._plan.channels), np.int16)

    def _take(self, wanted: int) -> list[Sound]:
        """Up to `wanted` samples off the front of the sound held."""
        parts: list[Sound] = []
        while wanted > 0 and self._pieces:
            piece = self._pieces.pop(0)
            parts.append(piece[:wanted])
            if len(piece) > wanted:
                self._pieces.insert(0, piece[wanted:])
            wanted -= len(parts[-1])
        return parts

    def _start(self) -> list[Sound]:
        """The lead-in, before the first sound."""
        if self.samples or self._plan.lead_in_samples == 0:
            return []
        return [np.zeros((self._plan.lead_in_samples, self._plan.channels), np.int16)]

    def _hear(self, sounds: Sequence[Sound]) -> Heard:
        features: list[Any] = []
        for sound in sounds:
            with self._pieces_lock:
                self.samples += len(sound)
                self._pieces.append(sound)
            features.extend(self._listener.push(self._resampler.push(sound)))
        return self._count(features)

    def _finish(self, frames: int, *, last: bool) -> Heard:
        rest = list(self._listener.push(self._resampler.flush()))
        return self._count([*rest, *self._listener.flush(max(frames, self._heard), last=last)])

    def _count(self, features: Sequence[Any]) -> Heard:
        first, self._heard = self._heard, self._heard + len(features)
        return Heard(first, features)


def _misplaced(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field=field)
