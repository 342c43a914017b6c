"""Sound to AAC, with the encoder's delay hidden so that sound sits where it belongs.

AAC decodes 1024 samples late: the first packet only primes the decoder. The stream begins with a silent
lead-in, so the encoder is fed from sample 1024 on and its priming packet fills the start: no edit list,
nothing for a player to get wrong. Where the lead-in is shorter, 1024 samples of priming lie before 0.
"""

from __future__ import annotations

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from avatar_core.media.resample import Resampler
from avatar_inference.fmp4 import SoundTrack, Unit

BLOCK = 1024
"""Samples in an AAC-LC packet."""
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""What the AAC encoder takes, of the rates a stream may have."""
BITS_PER_SAMPLE = 3
BIT_RATE_MAX = 64_000
"""Per channel."""
SILENCE = 0.001
"""Of full scale, -60 dB."""
LAYOUTS = {1: "mono", 2: "stereo"}


def aac_rate(rate: int) -> int:
    """The rate of the sound track for sound of this rate: the same or the next higher one AAC knows."""
    return next(known for known in RATES if known >= rate)


class SoundEncoder:
    """Encodes the sound of one stream.

    Args:
        rate, channels: of the sound, 8000..48000 and 1 or 2.
        lead_in_samples: silent samples at the start.
    """

    def __init__(self, rate: int, channels: int, lead_in_samples: int) -> None:
        self.rate = aac_rate(rate)
        self._channels = channels
        self._resampler = Resampler(rate, self.rate, channels)
        hidden = lead_in_samples * self.rate // rate >= BLOCK
        self.priming = 0 if hidden else BLOCK
        self._codec = _BlockEncoder(self.rate, channels)
        self._sound = np.zeros((0, channels), np.float32)
        self._first = 0  # position of self._sound[0]
        self._fed = BLOCK - self.priming  # position up to which the codec was fed, or what it skips
        self._given = -self.priming  # position up to which units were handed out

    def push(self, samples: NDArray[np.int16]) -> list[Unit]:
        """Takes int16 [n, channels] that follow; returns the units now ready, about 3 blocks later."""
        self._hold(self._resampler.push(samples))
        return self._encode_whole_blocks()

    def flush(self) -> list[Unit]:
        """Units for the whole blocks pushed so far, at once, as if silence followed. Sound may follow.

        A second codec draws them from the sound kept, so the first goes on undisturbed. The last block
        overlaps with the next, which is not known yet: if sound begins there, its first milliseconds will be
        blurred. So that block is handed out only if there is something to hear in it.
        """
        self._hold(self._resampler.flush())
        units = self._encode_whole_blocks()
        end = self._end - self._end % BLOCK
        if np.abs(self._sound[max(0, end - BLOCK - self._first) :]).max(initial=0) < SILENCE:
            end -= BLOCK
        return units + self._draw_ahead(end) if end > self._given else units

    def close(self, length: int) -> list[Unit]:
        """The rest, padded with silence or cut so that the track ends at sample `length` of its own rate."""
        self._hold(self._resampler.flush())
        missing = max(0, length - self._end)
        self._hold(np.zeros((missing, self._channels), np.float32))
        units = self._encode_whole_blocks()
        while self._fed < max(length, 2 * BLOCK - self.priming):  # at least one block, or there is no packet
            units += self._hand_out(self._codec.encode(self._fed, self._cut(self._fed)), length)
            self._fed += BLOCK
        return units + self._hand_out(self._codec.close(), length)

    def track(self) -> SoundTrack:
        """What a player must know."""
        return self._codec.track(self.priming)

    @property
    def _end(self) -> int:
        return self._first + len(self._sound)

    def _hold(self, samples: NDArray[np.float32]) -> None:
        self._sound = np.concatenate([self._sound, samples])

    def _encode_whole_blocks(self) -> list[Unit]:
        units = []
        while self._fed + BLOCK <= self._end:
            units += self._codec.encode(self._fed, self._cut(self._fed))
            self._fed += BLOCK
        return self._hand_out(units, self._fed)

    def _draw_ahead(self, until: int) -> list[Unit]:
        """Units up to position `until` from a codec of its own, fed from two blocks before them."""
        codec = _BlockEncoder(self.rate, self._channels)
        start = max(self._given - 2 * BLOCK, BLOCK - self.priming)
        units = []
        for position in range(start, max(until, start + BLOCK), BLOCK):
            units += codec.encode(position, self._cut(position))
        units += codec.close()
        return self._hand_out(units, until)

    def _hand_out(self, units: list[Unit], until: int) -> list[Unit]:
        """Those before `until` not handed out yet, in the track's time, which begins with the priming."""
        fresh = [unit for unit in units if self._given <= unit.start < until]
        if fresh:
            self._given = fresh[-1].start + BLOCK
        self._forget()
        return [
            Unit(unit.start + self.priming, min(BLOCK, until - unit.start), True, unit.data) for unit in fresh
        ]

    def _cut(self, position: int) -> NDArray[np.float32]:
        block = self._sound[position - self._first : position - self._first + BLOCK]
        return np.pad(block, ((0, BLOCK - len(block)), (0, 0)))

    def _forget(self) -> None:
        """Keeps what a second codec would need."""
        needed = min(self._given - 2 * BLOCK, self._fed)
        if needed > self._first:
            self._sound = self._sound[needed - self._first :]
            self._first = needed


class _BlockEncoder:
    """FFmpeg's AAC encoder; a unit's `start` is where its sound lies, one block before what went in."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        context = av.CodecContext.create("aac", "w")
        context.sample_rate = rate
        context.layout = LAYOUTS[channels]
        context.format = "fltp"
        context.bit_rate = channels * min(BIT_RATE_MAX, BITS_PER_SAMPLE * rate)
        context.flags |= Flags.global_header
        context.thread_count = 1
        context.open()
        self._context = context

    def encode(self, position: int, block: NDArray[np.float32]) -> list[Unit]:
        planar = np.ascontiguousarray(block.T)
        frame = av.AudioFrame.from_ndarray(planar, "fltp", LAYOUTS[self._channels])
        frame.sample_rate, frame.pts = self._rate, position
        return self._units(frame)

    def close(self) -> list[Unit]:
        return self._units(None)

    def track(self, priming: int) -> SoundTrack:
        config, bit_rate = self._context.extradata or b"", self._context.bit_rate or 0
        return SoundTrack(self._rate, self._channels, config, bit_rate, priming)

    def _units(self, frame: av.AudioFrame | None) -> list[Unit]:
        packets = self._context.encode(frame)
        return [Unit(packet.pts or 0, BLOCK, True, bytes(packet)) for packet in packets]
