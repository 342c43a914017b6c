"""The helper process that holds espeak-ng: `python -m avatar_session.speech.espeak_helper`.

espeak-ng is GPL-3.0, so it lives in a process of its own and is spoken to in frames over pipes.

To the helper: 4 bytes of length (big-endian), then JSON {"voice", "words_per_minute", "text"}.
From the helper: 1 byte of kind, 4 bytes of length, then the payload:
    H  once at the start, JSON {"rate", "voices": {tag: name}, "variants": [name]}
    A  s16le mono PCM
    D  the text is spoken
    E  JSON {"message"}; the helper lives on unless it was the first frame
It ends when its input does.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

MAX_REQUEST_BYTES = 256 * 1024
_SYNCHRONOUS, _BUFFER_MS, _NO_EXIT = 2, 60, 0x8000
_RATE = 1
_BY_CHARACTER, _UTF8 = 1, 1
_TOO_MANY_VOICES = 10_000


class _VoiceInfo(ctypes.Structure):
    """espeak_VOICE of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The library, with its one process-wide state."""

    def __init__(self, out: BinaryIO) -> None:
        import espeakng_loader

        data = Path(espeakng_loader.get_data_path())
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceInfo))
        self._library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, str(data).encode(), _NO_EXIT)
        if self.rate <= 0:
            raise OSError(f"espeak-ng did not start (code {self.rate})")
        self.variants = sorted(path.name for path in (data / "voices" / "!v").iterdir())
        self._out = out
        self._callback = _CALLBACK(self._take)  # must outlive the library's use of it
        self._library.espeak_SetSynthCallback(self._callback)

    def voices(self) -> dict[str, str]:
        """Name of the best voice for every tag, in lower case."""
        best: dict[str, tuple[int, str]] = {}
        listed = self._library.espeak_ListVoices(None)
        for index in range(_TOO_MANY_VOICES):
            if not listed[index]:
                break
            voice = listed[index].contents
            for priority, tag in _tags(voice.languages):
                if tag not in best or priority < best[tag][0]:
                    best[tag] = (priority, voice.identifier.decode())
        return {tag: name for tag, (_, name) in best.items()}

    def speak(self, voice: str, words_per_minute: int, text: str) -> None:
        """Writes the text's sound as frames."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"no voice {voice!r}")  # the previous one would speak
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        data = text.encode() + b"\0"
        code = self._library.espeak_Synth(data, len(data), 0, _BY_CHARACTER, 0, _UTF8, None, None)
        if code != 0:
            raise OSError(f"espeak-ng failed (code {code})")

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            write_frame(self._out, b"A", ctypes.string_at(samples, count * 2))
        return 0


def _tags(address: int) -> list[tuple[int, str]]:
    """Reads espeak's list of languages: a byte of priority and a string each, ended by a zero byte."""
    found = []
    while priority := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        found.append((priority, tag.decode().lower()))
        address += len(tag) + 2
    return found


def write_frame(out: BinaryIO, kind: bytes, payload: bytes = b"") -> None:
    """Writes one frame and sends it off."""
    out.write(kind + struct.pack(">I", len(payload)) + payload)
    out.flush()


def _read_request(source: BinaryIO) -> dict[str, Any] | None:
    head = source.read(4)
    size = struct.unpack(">I", head)[0] if len(head) == 4 else 0
    if not 0 < size <= MAX_REQUEST_BYTES:
        return None
    request: dict[str, Any] = json.loads(source.read(size))
    return request


def main() -> None:
    """Serves requests until the input ends."""
    source, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        espeak = Espeak(out)
        hello = {"rate": espeak.rate, "voices": espeak.voices(), "variants": espeak.variants}
    except (ImportError, OSError) as error:
        write_frame(out, b"E", json.dumps({"message": str(error)}).encode())
        return
    write_frame(out, b"H", json.dumps(hello).encode())
    while request := _read_request(source):
        try:
            espeak.speak(request["voice"], request["words_per_minute"], request["text"])
            write_frame(out, b"D")
        except (OSError, ValueError, KeyError) as error:
            write_frame(out, b"E", json.dumps({"message": str(error)}).encode())


if __name__ == "__main__":
    main()
