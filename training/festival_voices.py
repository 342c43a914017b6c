"""Labelled speech of Flite and Festival, whose voices are cut from or trained on recordings of people.

    apt-get install flite festival festvox-kallpc16k festvox-kdlpc16k festvox-itapc16k festvox-italp16k \\
        festvox-czech-dita festvox-czech-machac festvox-czech-krb festvox-czech-ph festvox-suopuhe-lj \\
        festvox-suopuhe-mv festvox-ca-ona-hts festvox-us-slt-hts
"""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from training.labelled import Labelled, mouths_of, shuffled_text

from avatar_core.limits import LIP_RATE

_ARPABET = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "ch": "tʃ",
    "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "əl", "em": "əm", "en": "ən", "er": "ɜ", "ey": "eɪ", "hh": "h",
    "hv": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "nx": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "r": "ɹ",
    "sh": "ʃ", "th": "θ", "uh": "ʊ", "uw": "u", "y": "j", "zh": "ʒ", "pau": "", "sil": "", "brth": "",
}  # fmt: skip
_SAMPA = {
    "E": "ɛ", "O": "ɔ", "S": "ʃ", "Z": "ʒ", "tS": "tʃ", "dZ": "dʒ", "J": "n", "ng": "ŋ", "nf": "m", "L": "l",
    "ax": "ə", "rr": "r", "@": "æ", "7": "ø", "&": "ə", "N": "ŋ", "T": "θ", "D": "ð",
    "#": "", "_": "", "##": "", "pau": "",
}  # fmt: skip
_CZECH = {
    "ch": "x", "c": "ts", "c~": "tʃ", "d~": "d", "dz~": "dʒ", "n*": "ŋ", "n~": "n", "r~": "rʒ", "r~*": "rʃ",
    "s~": "ʃ", "z~": "ʒ", "t~": "t", "e": "ɛ", "#": "", "_": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice: its name, the language of its texts, how they are encoded, and its phonemes in IPA."""

    name: str
    language: str
    encoding: str
    ipa: Mapping[str, str]


def _voices(names: str, language: str, encoding: str, ipa: Mapping[str, str]) -> tuple[Voice, ...]:
    return tuple(Voice(name, language, encoding, ipa) for name in names.split())


FLITE_VOICES = _voices("awb rms kal16", "en-us", "ascii", _ARPABET)
FESTIVAL_VOICES = (
    *_voices("ked_diphone kal_diphone", "en-us", "ascii", _ARPABET),
    *_voices("pc_diphone", "it", "latin-1", _SAMPA),
    *_voices("czech_dita czech_machac czech_krb czech_ph", "cs", "iso-8859-2", _CZECH),
    *_voices("suo_fi_lj_diphone", "fi", "latin-1", _SAMPA),
    *_voices("upc_ca_ona_hts", "ca", "latin-1", _SAMPA),
)
HELD_OUT_FLITE_VOICES = _voices("slt", "en-us", "ascii", _ARPABET)
HELD_OUT_FESTIVAL_VOICES = (
    *_voices("cmu_us_slt_arctic_hts", "en-us", "ascii", _ARPABET),
    *_voices("lp_diphone", "it", "latin-1", _SAMPA),
    *_voices("hy_fi_mv_diphone", "fi", "latin-1", _SAMPA),
)


def flite(voice: Voice, random: np.random.Generator) -> Labelled:
    """About 15 s in one voice of Flite."""
    text = shuffled_text(voice.language, 40, random)
    with TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        told = _run("flite", "-voice", voice.name, "-psdur", "-t", text, str(path))
        marks = [tuple(mark.split(":")) for mark in told.split()]
        return _labelled(path, [(float(end), name) for name, end in marks], voice)


def festival(voice: Voice, random: np.random.Generator) -> Labelled:
    """About 10 s in one voice of Festival."""
    text = shuffled_text(voice.language, 25, random).replace('"', "").replace("\\", "")
    with TemporaryDirectory() as folder:
        script, wav, labels = (Path(folder, name) for name in ("say.scm", "speech.wav", "speech.lab"))
        commands = (
            f"(voice.select '{voice.name})"
            f'(let ((said (utt.synth (eval (list (quote Utterance) (quote Text) "{text}")))))'
            f'(utt.save.wave said "{wav}" (quote riff)) (utt.save.segs said "{labels}"))'
        )
        script.write_bytes(commands.encode(voice.encoding, "ignore"))
        _run("festival", "-b", str(script))
        rows = [line.split() for line in labels.read_text("latin-1").splitlines()]
        return _labelled(wav, [(float(row[0]), row[2]) for row in rows if len(row) == 3], voice)


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is missing; {__doc__}")
    done = subprocess.run([path, *arguments], capture_output=True, check=True, encoding="latin-1")  # noqa: S603
    return done.stdout


def _labelled(wav: Path, marks: list[tuple[float, str]], voice: Voice) -> Labelled:
    """`marks` are (end, name) of the segments, in order."""
    phonemes, start = [], 0.0
    for end, name in marks:
        plain = name if name in voice.ipa else name.rstrip("1").rstrip(":")
        if end > start:
            phonemes.append((start, end, voice.ipa.get(plain, plain)))
        start = max(start, end)
    return Labelled(_read(wav), tuple(mouths_of(phonemes)))


def _read(path: Path) -> NDArray[np.float32]:
    """A WAV file of 16 kHz or twice that, as float32 at 16 kHz."""
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        rate = file.getframerate()
    if rate != LIP_RATE:
        spectrum = np.fft.rfft(sound, 1 << (len(sound) + rate).bit_length())
        half = np.fft.irfft(spectrum[: (len(spectrum) - 1) * LIP_RATE // rate + 1]) * LIP_RATE / rate
        sound = half[: len(sound) * LIP_RATE // rate]
    return sound.astype(np.float32)
