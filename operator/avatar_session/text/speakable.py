"""Takes from a sentence what no voice should read aloud: Markdown, emoji, code, all of a URL but its host."""

from __future__ import annotations

import re
from collections.abc import Callable

_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u23e9-\u23fa\u231a\u231b]"
_EMOJI_RUN = re.compile(rf"{_EMOJI}(?:{_EMOJI}|[\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f])*")
"""The zero-width joiner goes with its emoji alone: Indic scripts need it."""
_RULE_CELL = r"[ \t]*:?-{2,}:?[ \t]*"
_TABLE_RULE = re.compile(rf"^[ \t]*\|?{_RULE_CELL}(?:\|{_RULE_CELL})*\|?[ \t]*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE)
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|\bwww\.)[^\s<>()\[\]{}\"'`|\u2e80-\uffff]*", re.IGNORECASE | re.ASCII
)


def speakable(text: str) -> str:
    """The words of a sentence of Markdown, on one line; empty when nothing is left to say.

    Applying it again changes nothing.
    """
    before = None
    while text != before:
        before = text
        for rule, replacement in _RULES:
            text = rule.sub(replacement, text)
        text = text.strip()
    return text if any(character.isalnum() for character in text) else ""


def _host(match: re.Match[str]) -> str:
    """A URL as one would say it: its host, with the punctuation that followed the URL."""
    url = match.group().rstrip(".,;:!?*_~")
    behind = match.group()[len(url) :]
    host = re.split(r"[/?#]", url.split("://")[-1])[0].rsplit("@")[-1]
    return re.sub(r"^(?:www\.)+|:\d*$", "", host, flags=re.IGNORECASE) + behind


def _cells(match: re.Match[str]) -> str:
    return ", ".join(cell for cell in map(str.strip, match[1].split("|")) if cell)


_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[^\n]*$|\Z)", re.MULTILINE | re.DOTALL), " "),  # fenced code
    (re.compile(r"<!--.*?-->", re.DOTALL), " "),
    (re.compile(r"!\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # picture: its description
    (re.compile(r"\[\^[^\[\]]*\]:?"), ""),  # footnote
    (re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\[[^\[\]]*\])"), r"\1"),  # link: its text
    (re.compile(r"<([a-zA-Z][a-zA-Z0-9+.-]*://[^\s<>]*)>"), r"\1"),
    (_URL, _host),
    (re.compile(r"</?[a-zA-Z][^<>]*>"), " "),  # HTML tag
    (re.compile(r"^[ \t]*[-*_=~]{3,}[ \t]*$", re.MULTILINE), " "),  # horizontal rule
    (re.compile(r"^[ \t]*#{1,6}(?:[ \t]+|$)", re.MULTILINE), ""),  # heading
    (re.compile(r"[ \t]#+[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*>+[ \t]*", re.MULTILINE), ""),  # quotation
    (re.compile(r"^[ \t]*[-*+•–][ \t]+(?:\[[ xX]\][ \t]+)?", re.MULTILINE), ""),  # list item
    (_TABLE_RULE, " "),
    (_TABLE_ROW, _cells),
    (re.compile(r"[ \t]+\|+[ \t]+"), ", "),
    (re.compile(r"\*{2,}|__|~~|`+"), ""),  # emphasis and inline code, even when only half of it is here
    (re.compile(r"(?<![\w*\\])[*_](?=[^\s*])"), ""),
    (re.compile(r"(?<=[^\s*\\])[*_](?![\w*])"), ""),
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|>~-])"), r"\1"),
    (re.compile(r"([0-9#*])\ufe0f?\u20e3"), r"\1"),  # keycap: the key
    (_EMOJI_RUN, " "),
    (re.compile(r"[\ufe0e\ufe0f\U000e0020-\U000e007f]"), ""),
    (re.compile(r"\(\s*\)|\[\s*\]"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r" +([,.;:!?])(?=\s|$)"), r"\1"),
]
