"""What it costs, and how far it leads from features of the whole, to hear speech while it comes.

    python -m benchmarks.streaming [--device cuda] [--fps 25] [--seconds 12] [--json FILE]

MuseTalk's audio encoder attends over 30 s. Offline all of an utterance is there; a stream encodes what there
is at each flush and, LIVE, every 320 ms, with silence after it (see `musetalk/listener.py`), so a frame's
tokens differ a little from those of the whole. Told is, a frame, the length of the difference in lengths of
the whole's tokens: median, 95th percentile and worst. For scale: how much the same sound differs from itself
5 s later among the 30 s, and how much a frame differs from the next one.

The weights are random. This measures the architecture (what attention over a growing block does) and the
cost, not what the published weights make of it. They come in two kinds: as freshly initialised, whose
attention is nearly even, and spread, whose attention picks places as trained attention does.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import drawing_cases, reading
from tests.support.espeak_reference import speak
from tests.support.lip_speech import TEXTS
from torch import Tensor

from avatar_core.timeline import frame_count, frames_before
from avatar_inference.musetalk.audio import Ear, empty_encoder
from avatar_inference.musetalk.hearing import Hearing
from avatar_inference.musetalk.layout import MUSETALK, SAMPLE_RATE, TINY
from avatar_inference.musetalk.listener import AlignedListener, token_windows
from avatar_inference.musetalk.windows import AUDIO_FRAME, aligned_start

Sound = NDArray[np.float32]
ENCODERS = {"tiny": TINY, "whisper-tiny": MUSETALK}
STREAMS = (1, 4, 8)
LATER = 5 * SAMPLE_RATE
PUSH = 1_600
"""Samples a stream sends at a time: 100 ms."""
SPREAD_SEED = 13


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far tokens are from those of the whole, over all frames."""

    what: str
    encoder: str
    weights: str
    median: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What hearing costs.

    Attributes:
        calls_per_second: blocks encoded for a second of one stream's sound.
        blocks_per_batch: how many the streams' blocks shared a run of the encoder, on average.
        encoder_seconds: the encoder's for a second of one stream's sound.
    """

    what: str
    encoder: str
    streams: int
    calls_per_second: float
    blocks_per_batch: float
    encoder_seconds: float


class CountingEar:
    """An ear that counts its runs and their blocks."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self.batches: list[int] = []

    def __call__(self, blocks: Tensor) -> Tensor:
        """See `Ear.forward`."""
        self.batches.append(len(blocks))
        return self._ear(blocks)


def sentences(seconds: float) -> list[Sound]:
    """English speech of espeak, sentence by sentence, at least one, up to so many seconds in all."""
    said: list[Sound] = []
    for text in re.findall(r"[^.?]+[.?]", TEXTS["en-us"]):
        sound = speak(text.strip(), "en-us").sound(SAMPLE_RATE)
        if said and sum(map(len, said)) + len(sound) > seconds * SAMPLE_RATE:
            break
        said.append(sound)
    return said


def make_ear(encoder: str, weights: str, device: torch.device) -> Ear:
    """An encoder with random weights of that kind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = empty_encoder(ENCODERS[encoder])
    if weights == "spread":
        places = made.embed_positions.weight.clone()  # fixed sinusoids, which training does not change
        made = reading.filled(made, drawing_cases.whisper_weights, SPREAD_SEED)
        made.embed_positions.weight.data.copy_(places)
    ear = Ear(made).to(device)
    if device.type == "cuda":
        ear.encoder.half()
    return ear


def whole_tokens(ear: Ear, sound: Sound, fps: Fraction, device: torch.device, later: int = 0) -> Tensor:
    """Tokens of every frame, the sound encoded at once, `later` samples of silence before it."""
    padded = np.concatenate([np.zeros(later, np.float32), sound])
    states = ear(torch.from_numpy(padded)[None].to(device))[0, : len(padded) // AUDIO_FRAME].cpu()
    frames = frame_count(len(sound), SAMPLE_RATE, fps)
    starts = [aligned_start(frame, fps) for frame in range(frames)]
    return torch.stack(token_windows(states[later // AUDIO_FRAME :].float(), 0, starts))


def stream(
    hearing: Hearing, said: Sequence[Sound], fps: Fraction, *, live: bool, flushed: bool
) -> Iterator[Tensor]:
    """Tokens as a stream hears them, 100 ms at a time; with flushes after all sentences or only the last."""
    listener, pushed = AlignedListener(hearing, fps, live), 0
    for sentence in said:
        for at in range(0, len(sentence), PUSH):
            yield from listener.push(sentence[at : at + PUSH])
        pushed += len(sentence)
        if flushed:
            yield from listener.flush(frames_before(pushed, SAMPLE_RATE, fps), last=False)
    yield from listener.flush(frame_count(pushed, SAMPLE_RATE, fps), last=True)


def per_frame(found: Tensor, expected: Tensor) -> NDArray[np.float64]:
    """Relative L2 of each frame's tokens."""
    difference = (found.double() - expected.double()).flatten(1).norm(dim=1)
    return (difference / expected.double().flatten(1).norm(dim=1)).numpy()


def deviations(
    encoder: str, weights: str, said: Sequence[Sound], fps: Fraction, device: torch.device
) -> Iterator[Deviation]:
    """Each way of hearing against the whole."""
    ear = make_ear(encoder, weights, device)
    sound = np.concatenate(said)
    whole = whole_tokens(ear, sound, fps, device)

    def row(what: str, found: Tensor, expected: Tensor = whole) -> Deviation:
        off = per_frame(found, expected)
        return Deviation(
            what, encoder, weights, float(np.median(off)), float(np.quantile(off, 0.95)), float(off.max())
        )

    hearing = Hearing(ear, device)
    for what, live, flushed in (
        ("OFFLINE, flush after sentences", False, True),
        ("LIVE, flush after sentences", True, True),
        ("LIVE, no flush", True, False),
    ):
        heard = torch.stack(list(stream(hearing, said, fps, live=live, flushed=flushed)))
        yield row(what, heard.float())
    hearing.close()
    yield row("the whole, 5 s later among the 30", whole_tokens(ear, sound, fps, device, LATER))
    yield row("each frame against the next", whole[1:], whole[:-1])


def costs(encoder: str, said: Sequence[Sound], fps: Fraction, device: torch.device) -> Iterator[Cost]:
    """Streams at once, each as fast as it is answered."""
    seconds = sum(map(len, said)) / SAMPLE_RATE
    ear = make_ear(encoder, "fresh", device)
    ear(torch.zeros(1, SAMPLE_RATE, device=device))
    for live in (True, False):
        for streams in STREAMS:
            counting = CountingEar(ear)
            hearing = Hearing(counting, device)  # type: ignore[arg-type]

            def listen(_: int, hearing: Hearing = hearing, live: bool = live) -> None:
                for _token in stream(hearing, said, fps, live=live, flushed=True):
                    pass

            started = time.monotonic()
            with ThreadPoolExecutor(streams) as pool:
                list(pool.map(listen, range(streams)))
            took = time.monotonic() - started
            hearing.close()
            blocks, sound = sum(counting.batches), seconds * streams
            mean = blocks / len(counting.batches)
            yield Cost("LIVE" if live else "OFFLINE", encoder, streams, blocks / sound, mean, took / sound)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--fps", type=Fraction, default=Fraction(25))
    parser.add_argument("--seconds", type=float, default=12.0, help="of speech, at most 24")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=list(ENCODERS))
    parser.add_argument(
        "--cost-seconds", type=float, default=6.0, help="of speech, for the cost; 0: not at all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    said = sentences(min(asked.seconds, 24.0))
    print(f"{sum(map(len, said)) / SAMPLE_RATE:.1f} s in {len(said)} sentences at {asked.fps} frames/s")
    print(f"\n{'tokens against the whole':34} {'encoder':13} {'weights':8}  median     p95   worst")
    far: list[Deviation] = []
    for encoder in asked.encoders:
        for weights in ("spread", "fresh"):
            for each in deviations(encoder, weights, said, asked.fps, device):
                far.append(each)
                where = f"{each.what:34} {each.encoder:13} {each.weights:8}"
                print(f"{where} {each.median:7.4f} {each.p95:7.4f} {each.worst:7.4f}", flush=True)
    print(f"\n{'hearing':8} {'encoder':13} {'streams':>7} {'calls/s':>8} {'blocks/batch':>12} encoder s/s")
    dear: list[Cost] = []
    for encoder in asked.encoders if asked.cost_seconds else ():
        for cost in costs(encoder, sentences(asked.cost_seconds), asked.fps, device):
            dear.append(cost)
            where = f"{cost.what:8} {cost.encoder:13} {cost.streams:7} {cost.calls_per_second:8.2f}"
            print(f"{where} {cost.blocks_per_batch:12.1f} {cost.encoder_seconds:11.3f}", flush=True)
    if asked.json:
        facts = {
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "precision": "fp16" if device.type == "cuda" else "fp32",
            "threads": torch.get_num_threads(),
            "frames_per_second": str(asked.fps),
            "deviations": [asdict(each) for each in far],
            "rows": [asdict(each) for each in dear],
        }
        asked.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
