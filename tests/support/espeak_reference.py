"""Speech whose phonemes are known to the sample: espeak-ng called in this process, with its phoneme events.

The events are the yardstick for drawn lips; nothing in the product ever sees them.
"""

from __future__ import annotations

from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    Structure,
    Union,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_short,
    c_size_t,
    c_uint,
    c_void_p,
)
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

_PLAY_SYNCHRONOUS = 2
_PHONEME_EVENTS_IN_IPA = 0x8000 | 1 | 2
_UTF8_END_PAUSE = 1 | 0x1000
_END_OF_LIST, _END_OF_CLAUSE, _PHONEME = 0, 5, 7
_SPEED, _PITCH = 1, 3
_STRESS = "ˈˌ"
_VOICELESS_STOPS = tuple("ptkcqʈ")
_SILENT = 40
_LOCK = Lock()  # espeak-ng keeps one state per process and crashes when two threads speak


@dataclass(frozen=True, slots=True)
class Reference:
    """Speech and what is said when.

    Attributes:
        rate: samples per second.
        pcm: int16 [n], mono.
        phonemes: (start, end, ipa) in seconds, in order, without gaps; no stress marks, "" is a pause.
    """

    rate: int
    pcm: NDArray[np.int16]
    phonemes: tuple[tuple[float, float, str], ...]

    def sound(self, rate: int = 16_000) -> NDArray[np.float32]:
        """The speech as float32 [m], -1..1, at another rate, band-limited in the frequency domain."""
        count = round(len(self.pcm) * rate / self.rate)
        padded = 1 << (len(self.pcm) + self.rate).bit_length()  # silence behind, so that nothing wraps around
        spectrum = np.fft.rfft(self.pcm / 32768, padded)
        wanted = round(padded * rate / self.rate)
        resampled = np.fft.irfft(spectrum[: wanted // 2 + 1], wanted) * (wanted / padded)
        return resampled[:count].astype(np.float32)


class _EventId(Union):
    _fields_ = (("number", c_int), ("name", c_char_p), ("string", c_char * 8))


class _Event(Structure):
    _fields_ = (
        ("type", c_int),
        ("identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("id", _EventId),
    )


class _Recorder:
    """Collects what one synthesis calls back."""

    def __init__(self) -> None:
        self.sound: list[NDArray[np.int16]] = []
        self.marks: list[tuple[int, str]] = []

    def __call__(self, wav: Any, count: int, events: Any) -> int:
        if count:
            self.sound.append(np.ctypeslib.as_array(wav, (count,)).copy())
        index = 0
        while events[index].type != _END_OF_LIST:
            event = events[index]
            if event.type == _PHONEME:
                self.marks.append((event.sample, bytes(event.id.string).decode(errors="ignore")))
            elif event.type == _END_OF_CLAUSE:
                self.marks.append((event.sample, ""))
            index += 1
        return 0


_Callback = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@cache
def _library() -> tuple[CDLL, int]:
    library = CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = [
        c_char_p, c_size_t, c_uint, c_int, c_uint, c_uint, POINTER(c_uint), c_void_p,
    ]  # fmt: skip
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(_PLAY_SYNCHRONOUS, 60, data, _PHONEME_EVENTS_IN_IPA)
    if rate <= 0:
        raise RuntimeError(f"espeak_Initialize failed: {rate}")
    return library, rate


def speak(text: str, voice: str, speed: int = 160, pitch: int = 50) -> Reference:
    """Speaks `text` with an espeak-ng voice such as "en-us", "fr", "de" or a variant such as "en-us+f3".

    Args:
        text: what to say.
        voice: the voice's name; unknown ones raise ValueError.
        speed: words per minute.
        pitch: 0 to 100.
    """
    with _LOCK:
        library, rate = _library()
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        library.espeak_SetParameter(_SPEED, speed, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        recorder = _Recorder()
        callback = _Callback(recorder)
        library.espeak_SetSynthCallback(callback)
        spoken = text.encode() + b"\0"
        if library.espeak_Synth(spoken, len(spoken), 0, 1, 0, _UTF8_END_PAUSE, byref(c_uint()), None) != 0:
            raise RuntimeError("espeak_Synth failed")
    pcm = np.concatenate(recorder.sound)
    return Reference(rate, pcm, _intervals(_with_closures(recorder.marks, pcm, rate), len(pcm), rate))


def _with_closures(marks: list[tuple[int, str]], pcm: NDArray[np.int16], rate: int) -> list[tuple[int, str]]:
    """Moves a voiceless stop from its burst, where espeak-ng marks it, to where its lips or tongue close.

    The closed phase is the silence before the burst, up to 0.15 s; after a pause nobody can tell.
    """
    moved = []
    earliest = 0
    before = ""
    for sample, name in marks:
        start = sample
        if before and name.strip(_STRESS).startswith(_VOICELESS_STOPS):
            earliest = max(earliest, sample - round(0.15 * rate))
            sounding = np.flatnonzero(np.abs(pcm[earliest:sample]) > _SILENT)
            start = earliest + int(sounding[-1]) + 1 if len(sounding) else earliest
        moved.append((start, name))
        earliest, before = sample, name
    return moved


def _intervals(marks: list[tuple[int, str]], end: int, rate: int) -> tuple[tuple[float, float, str], ...]:
    """Each mark lasts until the next; zero-length ones vanish, silence before the first is a pause."""
    starts = [0, *(sample for sample, _ in marks), end]
    names = ["", *(name.strip(_STRESS) for _, name in marks)]
    return tuple(
        (start / rate, stop / rate, name)
        for start, stop, name in zip(starts, starts[1:], names, strict=False)
        if stop > start
    )
