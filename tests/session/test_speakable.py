"""What is said of Markdown, emoji and URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_session.text.speakable import speakable

MARKS = st.sampled_from(
    [
        *"* ** _ __ ~~ ` ``` # ## > - | || |- \\ [ ] ( ) ![ ]( <b> </b> <!-- -->".split(),
        *"https:// www. 🙂 \ufe0f \u200d \u20e3 word a_b 1 x.y/z &".split(),
        " ",
        "\n",
    ]
)
TEXTS = st.lists(MARKS | st.text(max_size=6), max_size=30).map("".join)


@given(TEXTS)
def test_applying_it_again_changes_nothing(text: str) -> None:
    assert speakable(speakable(text)) == speakable(text)


@given(TEXTS)
def test_something_to_say_or_nothing_at_all_and_always_on_one_line(text: str) -> None:
    said = speakable(text)
    assert said == "" or any(character.isalnum() for character in said)
    assert "\n" not in said and said == said.strip() and "🙂" not in said and "https://" not in said


@given(st.lists(st.from_regex(r"[a-zA-Zäéß你好]{1,8}", fullmatch=True), min_size=1).map(" ".join))
def test_plain_words_are_said_as_they_are(text: str) -> None:
    assert speakable(text + ".") == text + "."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Bold** and *soft* and ***both***, `code` too.", "Bold and soft and both, code too."),
        ("**Half of a bold sentence.", "Half of a bold sentence."),
        ("It is snake_case and 2 * 3 or 2*3.", "It is snake_case and 2 * 3 or 2*3."),
        ("_Yes_, __really__ ~~not~~.", "Yes, really not."),
        ("# A title", "A title"),
        ("> - [x] quoted item", "quoted item"),
        ("1. First", "1. First"),
        ("See [the docs](https://example.com/a?b=c) now.", "See the docs now."),
        ("See https://user:pw@www.example.com:8080/a/b?c=d#e.", "See example.com."),
        ("(www.example.com/a), <https://a.org/x>!", "(example.com), a.org!"),
        ("请看https://example.com/a。谢谢", "请看example.com。谢谢"),
        ("![a red cat](cat.png) sits", "a red cat sits"),
        ("| Name | Age |", "Name, Age"),
        ("|---|:-:|", ""),
        ("Good 👍🏽 work 👩‍👩‍👧!", "Good work!"),
        ("Press 1️⃣ 🇫🇷", "Press 1"),
        ("क्‍ष", "क्‍ष"),
        ("```py\nprint(1)\n```", ""),
        ("```\nnever closed", ""),
        ("---", ""),
        ("🙂 ✨", ""),
        ("…?!", ""),
        ("line<br>break", "line break"),
        ("a note[^1] here", "a note here"),
        (r"5 \* 3 \#1", "5 * 3 #1"),
        ("3 < 4 and 5 > 2", "3 < 4 and 5 > 2"),
    ],
)
def test_examples(text: str, said: str) -> None:
    assert speakable(text) == said


@pytest.mark.parametrize("mark", ["-", "|", "[", "(", "<", "*", "`", "_", "\\", "!["])
def test_no_text_makes_it_slow(mark: str) -> None:
    speakable(mark * 3000 + "x")  # a rule that backtracks would take hours
