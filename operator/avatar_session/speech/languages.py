"""Which of espeak-ng's voices a language tag means, and which scripts a voice can read. Pure functions.

Measured with espeak-ng 1.52: every voice reads Latin letters and hands eleven other scripts to their own
voice by itself; all others it spells ("Chinese letter, Chinese letter"), which nobody wants to hear.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import groupby

from avatar_core.errors import InvalidInputError, Reason

DEFAULT_VOICE = "en-us"
VOICE_FIELD = "spec.speech.voice"

READ_BY_ALL = frozenset(
    {
        *("LATIN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "TAMIL"),
        *("KANNADA", "MALAYALAM", "SINHALA", "GEORGIAN", "ARMENIAN", "HANGUL"),
    }
)
READERS: dict[str, tuple[str, ...]] = {
    "ARABIC": ("ar", "fa", "ur", "ug", "sd"),
    "CJK": ("cmn", "yue"),
    "CYRILLIC": ("ru", "uk", "be", "bg", "mk", "sr", "hr", "bs", "kk", "ky", "tt", "ba", "cv", "nog", "uz"),
    "ETHIOPIC": ("am", "ti"),
    "GREEK": ("el", "grc"),
    "HEBREW": ("he",),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "MYANMAR": ("my", "shn"),
    "ORIYA": ("or",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}
"""Languages whose voices read a script that others spell."""
_OWN_VOICE = {script: languages[0] for script, languages in READERS.items()} | {
    **{"DEVANAGARI": "hi", "BENGALI": "bn", "GURMUKHI": "pa", "GUJARATI": "gu", "TAMIL": "ta"},
    **{
        "KANNADA": "kn",
        "MALAYALAM": "ml",
        "SINHALA": "si",
        "GEORGIAN": "ka",
        "ARMENIAN": "hy",
        "HANGUL": "ko",
    },
}
_PEOPLE_SAY = {"CJK": "Chinese characters"}
_ALIASES = {"zh-hk": "yue", "zh-mo": "yue", "iw": "he", "in": "id"}
_WORDS_OF_ONE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
_SYMBOLS = frozenset(
    {"MICRO", "MODIFIER", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "FEMININE", "MASCULINE"}
)
"""First words of the names of letters that are signs rather than writing."""


def find_voice(asked: str, known: Mapping[str, str]) -> str:
    """The voice a tag such as "fr-FR", "zh" or "en_GB" means: the tag itself or its nearest wider one.

    Args:
        asked: a language tag or a name of espeak's; case and underscores do not matter.
        known: what espeak has, by lower-case tag.

    Raises:
        InvalidInputError: VOICE_NOT_FOUND, with the nearest known names.
    """
    tag = asked.strip().lower().replace("_", "-")
    parts = tag.split("-")
    for length in range(len(parts), 0, -1):
        wider = "-".join(parts[:length])
        if (found := _ALIASES.get(wider, wider)) in known:
            return known[found]
    near = get_close_matches(tag, list(known), n=3, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(near)}?"
        if near
        else "known: en-us, en-gb, fr, de, es, it, pt-br, ru, cmn, …"
    )
    raise InvalidInputError(
        Reason.VOICE_NOT_FOUND, f"espeak has no voice {asked[:60]!r}; {hint}", field=VOICE_FIELD
    )


def voice_for(text: str) -> str:
    """The voice for a text when none was asked for: by the script most of its letters are written in.

    Latin letters say nothing about the language: without other letters it is en-us. With other ones these
    decide, since their voices read Latin words too. Kana mean Japanese, Chinese characters alone Mandarin.
    """
    scripts: Counter[str] = Counter()
    for script, run in _foreign_runs(text):
        scripts[script] += len(run)
    if scripts.keys() & {"HIRAGANA", "KATAKANA"}:
        return "ja"
    readable = [(letters, script) for script, letters in scripts.items() if script in _OWN_VOICE]
    return _OWN_VOICE[max(readable)[1]] if readable else DEFAULT_VOICE


def require_readable(text: str, voice: str, language: str) -> None:
    """Refuses a text that a voice would spell instead of reading.

    A single foreign letter is taken for a symbol, as in "2 π"; a single Chinese character is a word.

    Args:
        text: what shall be spoken.
        voice: the voice's name, for the message.
        language: its language's first subtag, such as "en".

    Raises:
        InvalidInputError: TEXT_UNREADABLE, with the script, the word and a voice that reads it.
    """
    for script, run in _foreign_runs(text):
        readers = READERS.get(script, ())
        if script in READ_BY_ALL or language in readers:
            continue
        letters = _PEOPLE_SAY.get(script, f"{script.capitalize()} letters")
        mend = f"use the voice {' or '.join(readers[:3])}" if readers else "no voice of espeak can"
        message = f"voice {voice!r} can't read {letters} such as {run[:20]!r}; {mend}"
        raise InvalidInputError(Reason.TEXT_UNREADABLE, message, field=VOICE_FIELD)


def _foreign_runs(text: str) -> list[tuple[str, str]]:
    """Script and letters of every run of letters of one script other than Latin, in order; no symbols."""
    words = re.findall(r"[^\W\d_]+", text)
    runs = [(script, "".join(run)) for word in words for script, run in groupby(word, key=_script)]
    return [
        (script, run)
        for script, run in runs
        if script not in {"", "LATIN"} and (len(run) > 1 or script in _WORDS_OF_ONE)
    ]


def _script(letter: str) -> str:
    """First word of a letter's Unicode name, such as "CYRILLIC"; empty for signs and unnamed ones."""
    first, _, rest = unicodedata.name(letter, "").partition(" ")
    if first in {"FULLWIDTH", "HALFWIDTH"}:
        first = rest.partition(" ")[0]
    if first in {"IDEOGRAPHIC", "KANGXI"}:
        return "CJK"
    return "" if first in _SYMBOLS else first
