"""Sentence splitting: known traps by example, what must hold for every text by property."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_session.text.sentences import (
    MAX_CHARACTERS,
    SentenceSplitter,
    ends_whole,
    split_sentences,
    whole_sentences,
)

PIECES = st.sampled_from(
    [
        *'. ... ! ? … 。 ！ ？ । ؟ ?! .) ." .” 」'.split(" "),
        *" |\n|\n\n| \n|\t|, |; |: |，|、| — ".split("|"),
        *"Dr z.B No 3 12 1.000,50 U.S J M Mai Juni e.g a.m the The word Über été I".split(),
        *"Привет 你好 नमस्ते مرحبا ა".split(),
        *'https://a.bc/d?e=f # - * 1. | ``` > ( ) " “ ” 🙂'.split(),
        "x" * 120,
        "word " * 40,
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=40).map("".join)


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(TEXTS)
def test_joined_sentences_are_the_text_and_none_is_empty_or_too_long(text: str) -> None:
    sentences = split_sentences(text)
    assert squeezed("".join(sentences)) == squeezed(text)
    assert all(sentence.strip() == sentence != "" for sentence in sentences)
    assert all(len(sentence) <= MAX_CHARACTERS for sentence in sentences if "```" not in sentence)


@settings(max_examples=400)
@given(TEXTS, st.data())
def test_chunking_never_changes_the_sentences(text: str, data: st.DataObject) -> None:
    splitter, found, position = SentenceSplitter(), [], 0
    while position < len(text):
        size = data.draw(st.integers(1, 7))
        found += splitter.feed(text[position : position + size])
        position += size
    assert [*found, *splitter.end()] == split_sentences(text)


@given(TEXTS)
def test_one_character_at_a_time_gives_the_same_sentences(text: str) -> None:
    splitter = SentenceSplitter()
    assert [s for character in text for s in splitter.feed(character)] + splitter.end() == split_sentences(
        text
    )


@given(TEXTS, st.booleans())
def test_a_cut_reply_keeps_a_beginning_of_the_text_and_never_nothing(text: str, cut: bool) -> None:
    kept = whole_sentences(text, cut=cut)
    assert text.strip().startswith(kept)
    assert bool(kept) == bool(text.strip())
    assert cut or kept == text.strip()


@given(TEXTS)
def test_the_sentences_of_a_cut_reply_are_what_is_kept_of_its_text(text: str) -> None:
    splitter = SentenceSplitter()
    sentences = [*splitter.feed(text), *splitter.end(cut=True)]
    assert squeezed("".join(sentences)) == squeezed(whole_sentences(text, cut=True))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("Dr. Smith met Mrs. Jones.", ["Dr. Smith met Mrs. Jones."]),
        ("We met at 5 p.m. Then we left.", ["We met at 5 p.m.", "Then we left."]),
        ("It is 3.5 m, or 1,000.50 in all. Good.", ["It is 3.5 m, or 1,000.50 in all.", "Good."]),
        ("See No. 5. No. I won't.", ["See No. 5.", "No.", "I won't."]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("So am I. You too.", ["So am I.", "You too."]),
        ("The U.S. Army came, e.g. by ship.", ["The U.S. Army came, e.g. by ship."]),
        ("Wait... what? I see… and go.", ["Wait... what?", "I see… and go."]),
        ("Well... Then go.", ["Well...", "Then go."]),
        (
            "See https://a.b/c?d=e. Or example.com. Now.",
            ["See https://a.b/c?d=e.", "Or example.com.", "Now."],
        ),
        ('He said "Stop!" and left. "Go." She went.', ['He said "Stop!" and left.', '"Go."', "She went."]),
        ("(It works.) Good.", ["(It works.)", "Good."]),
        ("Das ist z.B. Brot. Ja.", ["Das ist z.B. Brot.", "Ja."]),
        ("Am 3. Mai kommt er. Nr. 5 lebt.", ["Am 3. Mai kommt er.", "Nr. 5 lebt."]),
        ("Das kostet 1.000,50 Euro. Gut.", ["Das kostet 1.000,50 Euro.", "Gut."]),
        ("M. Dupont est là. Il dort.", ["M. Dupont est là.", "Il dort."]),
        ("El Sr. López vino. ¿Y tú? ¡Bien!", ["El Sr. López vino.", "¿Y tú?", "¡Bien!"]),
        ("你好。今天很好！是吗？“好的。”然后", ["你好。", "今天很好！", "是吗？", "“好的。”", "然后"]),
        ("「はい。」そうです。", ["「はい。」", "そうです。"]),
        ("真的?好的!走吧", ["真的?", "好的!", "走吧"]),
        ("नमस्ते। आप कैसे हैं? ठीक।", ["नमस्ते।", "आप कैसे हैं?", "ठीक।"]),
        ("مرحبا. كيف حالك؟ بخير.", ["مرحبا.", "كيف حالك؟", "بخير."]),
        ("Привет. Как дела?", ["Привет.", "Как дела?"]),
        ("გამარჯობა. როგორ ხარ?", ["გამარჯობა.", "როგორ ხარ?"]),
        ("# Title\nText here.\n\n- one\n- two", ["# Title", "Text here.", "- one", "- two"]),
        ("Steps:\n1. First\n2. Second. More", ["Steps:", "1. First", "2. Second.", "More"]),
        ("a line\nthat wraps. Next", ["a line\nthat wraps.", "Next"]),
        ("See:\n```py\nprint('a. b')\n```\nDone.", ["See:", "```py\nprint('a. b')\n```", "Done."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_known_traps(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_long_sentences_are_cut_at_clause_marks_then_at_spaces_then_anywhere() -> None:
    assert all(s.endswith(",") for s in split_sentences("a clause of some words, " * 40)[:-1])
    assert all(s.endswith("word") for s in split_sentences("word " * 100))
    assert [len(s) for s in split_sentences("x" * 700)] == [300, 300, 100]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two is cut he", "One."),
        ("One. Two.", "One. Two."),
        ("One, two is cut he", "One"),
        ("One two cut he", "One two cut"),
        ("One", "One"),
        ("你好。今天天", "你好。"),
        ('He said "no." And th', 'He said "no."'),
        ("Intro:\n\n1. First thing.\n2. Sec", "Intro:\n\n1. First thing."),
    ],
)
def test_a_reply_cut_by_the_limit_ends_at_its_last_whole_sentence(text: str, kept: str) -> None:
    assert whole_sentences(text, cut=True) == kept


def test_the_first_sentence_comes_as_soon_as_the_next_one_begins() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Hello there.") == []
    assert splitter.feed(" H") == ["Hello there."]


def test_whole_means_a_final_mark_before_any_closing_quotes() -> None:
    assert ends_whole("Yes.") and ends_whole('"Yes!")') and ends_whole("好。」")
    assert not ends_whole("Yes") and not ends_whole("Yes,")
