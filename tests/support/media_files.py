"""Sound files of many kinds, made in memory."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tone(rate: int, seconds: float, hertz: float = 440.0, level: float = 0.3) -> NDArray[np.float32]:
    """float32 [n]."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def sound_file(
    container: str, codec: str, samples: NDArray[np.float32], rate: int, channels: int = 1
) -> bytes:
    """Encodes float32 [n], the same in every channel."""
    out = BytesIO()
    with av.open(out, "w", format=container) as sink:
        stream = sink.add_stream(codec, rate=rate)
        stream.layout = LAYOUTS[channels]
        sink.start_encoding()
        frame = av.AudioFrame.from_ndarray(np.tile(samples, (channels, 1)), "fltp", LAYOUTS[channels])
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format.name, LAYOUTS[channels], rate)
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(part)
        for part in fifo.read_many(stream.codec_context.frame_size or 1024, partial=True):
            sink.mux(stream.encode(part))
        sink.mux(stream.encode(None))
    return out.getvalue()
