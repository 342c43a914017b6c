"""Cuts text into sentences while it is still being written.

A missed boundary costs a long breath, a false one a stumble: in doubt the sentence goes on. What is decided
depends on the text alone, never on the pieces it arrived in.
"""

from __future__ import annotations

import re

from avatar_session.text.abbreviations import DOTTED, GERMAN_MONTHS, NUMBERED, TITLES

MAX_CHARACTERS = 300
"""Longer sentences are cut at a clause mark: a TTS wants a bounded input, a listener the first words soon."""

_CLOSERS = "\"'”’»›)]}*_」』）】》〉"
_TERMINATOR = re.compile(
    r"(?P<fence>(?:^|(?<=\n))[ \t]*```)"
    r"|(?P<spaced>[.!?…‼⁇⁈⁉]+)"
    r"|(?P<plain>[。！？｡؟۔।॥]+)"
    r"|(?P<line>[ \t]*\n\s*)"
)
_BLOCK = re.compile(r"[-*+•–]\s|\d{1,3}[.)]\s|#{1,6}\s|>|\||```")
"""How a line begins that is a paragraph of its own: list item, heading, quotation, table row, code."""
_BLOCK_WIDTH = 5
_MONTH_WIDTH = 12
"""Characters that must stand behind a mark before a block, or a German month, can be told."""
_OWN_LINE = re.compile(r"\s*(#{1,6}\s|\|)")
"""Headings and table rows end with their line, whatever follows."""
_CLAUSE = re.compile(r"[,;:](?=\s)|[—–](?=\s)|[，、；：،؛]")
_FIRST_WIDE = "\u2e80"
"""Chinese, Japanese and Korean characters begin here; no blank stands before them."""
_LAST_WORD = re.compile(r"(\S+)\Z")
_INITIALS = re.compile(r"(?:\w\.)*\w\Z")
_ENDS_WHOLE = re.compile(rf"[.!?…‼⁇⁈⁉。！？｡؟۔।॥]+[{re.escape(_CLOSERS)}\s]*\Z")


class SentenceSplitter:
    """Takes text in pieces of any size and gives back whole sentences.

    A fenced code block is one piece. No piece is empty, none but code longer than 300 characters, and all of
    them joined are the text, white space apart.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._given = False

    def feed(self, text: str) -> list[str]:
        """Takes text that follows; returns the sentences that are certainly complete."""
        self._rest += text
        return self._take(final=False)

    def end(self, *, cut: bool = False) -> list[str]:
        """The text is over: returns what is left.

        Args:
            cut: a token limit ended the text. An unfinished last sentence is then left out, unless there was
                no other: of that one, the last whole clause or word is kept so that something is said.
        """
        given = self._given
        found = self._take(final=True)
        if left := self._rest.strip():
            found.append(left)
        self._rest = ""
        if cut and found and not ends_whole(found[-1]):
            unfinished = found.pop()
            return found if found or given else [_last_clause(unfinished)]
        return found

    def _take(self, *, final: bool) -> list[str]:
        found = []
        while (end := _first_end(self._rest, final)) is not None:
            sentence, self._rest = self._rest[:end].strip(), self._rest[end:]
            if sentence:
                found.append(sentence)
        self._given |= bool(found)
        return found


def split_sentences(text: str) -> list[str]:
    """All sentences of a whole text."""
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.end()]


def ends_whole(sentence: str) -> bool:
    """Whether it ends with a full stop or the like, closing quotes and brackets allowed."""
    return bool(_ENDS_WHOLE.search(sentence))


def whole_sentences(text: str, *, cut: bool) -> str:
    """What may be spoken of a reply; when `cut` by a token limit, up to its last whole sentence.

    Without one, up to the last clause; without that, up to the last word, so that something is left.
    """
    text = text.strip()
    if not cut:
        return text
    sentences = split_sentences(text)
    if not sentences or ends_whole(sentences[-1]):
        return text
    head = text[: len(text) - len(sentences[-1])].rstrip()
    return head or _last_clause(sentences[-1])


def _last_clause(text: str) -> str:
    """An unfinished sentence up to its last clause mark, without that mark, or up to its last whole word."""
    clauses = [match.start() for match in _CLAUSE.finditer(text)]
    spaces = [match.start() for match in re.finditer(r"\s", text)]
    ends = [end for end in (clauses or spaces) if text[:end].strip()]
    return text[: ends[-1]].strip() if ends else text


def _first_end(text: str, final: bool) -> int | None:
    """Where the first sentence ends, or None while that can't be told."""
    start = len(text) - len(text.lstrip())
    for match in _TERMINATOR.finditer(text, start):
        if match.start() - start > MAX_CHARACTERS:
            break
        if match["fence"]:
            return _fence(text, match, start, final)
        after = match.end()
        while not match["line"] and after < len(text) and text[after] in _CLOSERS:
            after += 1
        if not final and len(text[after:].lstrip(" \t")) < _lookahead(text, match):
            return None
        if _ends_here(text, match, start, after):
            return after if after - start <= MAX_CHARACTERS else start + _cut(text[start:])
    if len(text) - start > MAX_CHARACTERS + 1:
        return start + _cut(text[start:])
    return None


def _fence(text: str, opening: re.Match[str], start: int, final: bool) -> int | None:
    """The end of a code block, or the end of what stands before it."""
    if text[start : opening.start()].strip():
        return opening.start()
    closing = re.compile(r"\n[ \t]*```[^\n]*(?=\n)").search(text, opening.end())
    if closing:
        return closing.end()
    return len(text) if final else None


def _lookahead(text: str, match: re.Match[str]) -> int:
    """Characters that must stand behind a mark, blanks apart, before it can be judged."""
    if match["line"]:
        return _BLOCK_WIDTH
    return _MONTH_WIDTH if text[match.start() - 1 : match.start()].isdecimal() else 1


def _ends_here(text: str, match: re.Match[str], start: int, after: int) -> bool:
    """Whether a sentence ends at a mark that all the lookahead it needs stands behind."""
    if match["line"]:
        return _line_ends(text, match, start)
    if match["plain"]:
        return True
    before, mark = text[start : match.start()], match.group()
    if after < len(text) and not text[after].isspace():
        return text[after] >= _FIRST_WIDE and mark.strip("!?‼⁇⁈⁉") == ""
    following = text[after:].lstrip(" \t")[:1]
    if following == "\n" or not following:
        return not (mark == "." and _is_list_number(before))
    quoted = after > match.end()
    if _is_lower(following) and (quoted or mark.strip(".…") == ""):
        return False
    return mark != "." or quoted or not _is_abbreviation(before, text[after:].lstrip())


def _line_ends(text: str, match: re.Match[str], start: int) -> bool:
    """A line break ends a sentence at a blank line and next to headings, list items and table rows."""
    if match.group().count("\n") > 1 or _OWN_LINE.match(text, start) or _BLOCK.match(text, match.end()):
        return True
    return text[start : match.start()].endswith((":", "：")) or match.end() == len(text)


def _is_list_number(before: str) -> bool:
    return before.strip().isdecimal() and len(before.strip()) <= 3


def _is_abbreviation(before: str, following: str) -> bool:
    """Whether the full stop after `before` belongs to its last word."""
    found = _LAST_WORD.search(before)
    if not found:
        return False
    word = found[1].lstrip("\"'“‘«‹([{*_„¿¡-—/").lower()
    if word.isdecimal():
        following = following[:_MONTH_WIDTH].lower()
        return _is_list_number(before) or following.startswith(GERMAN_MONTHS)
    if word in TITLES or word in DOTTED:
        return True
    if word in NUMBERED and following[0].isdecimal():
        return True
    return word not in {"a.m", "p.m", "i"} and _INITIALS.match(word) is not None and not word.isdecimal()


def _is_lower(character: str) -> bool:
    """A small letter of a script in which sentences begin with a capital (Georgian ones do not)."""
    return character.islower() and character.title() != character


def _cut(text: str) -> int:
    """Where to cut a sentence that is too long: after a clause mark, else at a space, else anywhere."""
    head = text[:MAX_CHARACTERS]
    clauses = [match.end() for match in _CLAUSE.finditer(text, 0, MAX_CHARACTERS + 1)]
    fitting = [end for end in clauses if end <= MAX_CHARACTERS]
    if fitting:
        return fitting[-1]
    space = max(head.rfind(" "), head.rfind("\n"), head.rfind("\t"))
    return space if space > 0 else MAX_CHARACTERS
