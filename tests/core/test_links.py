"""Links to videos: whatever is changed of one, it opens nothing."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.links import SignedLinks, Verdict, judge, read_link

KEYS = {"1": b"a" * 32, "two": b"b" * 64}
UID = "11111111-2222-3333-4444-555555555555"
NOW = 1_800_000_000
LETTERS = string.ascii_letters + string.digits + "-_"
namespaces = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)
expiries = st.integers(1, 10**11)


def path(kid: str = "1", namespace: str = "team", uid: str = UID, expires_at: int = NOW + 60) -> str:
    return SignedLinks("", kid, KEYS[kid]).url(namespace, uid, expires_at)


@given(st.sampled_from(list(KEYS)), namespaces, uids, expiries, st.sampled_from(["", "video.mp4", "any"]))
def test_a_link_opens_its_folder_until_it_expires(
    kid: str, namespace: str, uid: str, expires_at: int, name: str
) -> None:
    link = read_link(path(kid, namespace, uid, expires_at) + name)
    assert link
    assert (link.namespace, link.uid, link.name, link.expires_at) == (namespace, uid, name, expires_at)
    assert judge(link, KEYS.values(), expires_at - 0.001) is Verdict.GOOD
    assert judge(link, KEYS.values(), expires_at) is Verdict.EXPIRED


@given(st.integers(0, 200), st.sampled_from(LETTERS + "./%\\ é\n"))
def test_no_character_can_be_another(place: int, other: str) -> None:
    good = path()
    place %= len(good)
    changed = good[:place] + other + good[place + 1 :]
    link = read_link(changed)
    if changed != good and link:
        assert judge(link, KEYS.values(), NOW) is Verdict.WRONG


@given(st.integers(0, 200), st.text(LETTERS + "./%\0\n", max_size=3), st.integers(0, 3))
def test_nothing_can_be_added_or_left_out(place: int, added: str, removed: int) -> None:
    good = path()
    place %= len(good)
    changed = good[:place] + added + good[place + removed :]
    link = read_link(changed)
    if link and not changed.startswith(good):
        assert judge(link, KEYS.values(), NOW) is Verdict.WRONG


@given(st.text(max_size=80))
def test_no_other_text_is_a_good_link(text: str) -> None:
    for each in (text, f"/v/{text}", f"/v/1.{NOW + 60}.{text}/team/{UID}/"):
        link = read_link(each)
        assert link is None or judge(link, KEYS.values(), NOW) is Verdict.WRONG


@pytest.mark.parametrize("expires_at", [f"0{NOW + 60}", f"+{NOW + 60}", f"{NOW + 60}.0", "१२३", "-1", "1e12"])
def test_an_expiry_has_one_spelling(expires_at: str) -> None:
    assert read_link(path().replace(str(NOW + 60), expires_at)) is None


def test_a_link_holds_only_under_the_name_it_was_signed_with() -> None:
    good, renamed = read_link(path()), read_link(path().replace("/v/1.", "/v/two."))
    assert good
    assert renamed
    assert judge(renamed, KEYS.values(), NOW) is Verdict.WRONG
    assert judge(good, [KEYS["two"]], NOW) is Verdict.WRONG
    assert judge(good, [], NOW) is Verdict.WRONG


def test_a_key_is_accepted_in_the_place_of_the_other() -> None:
    """A key moves to the other's place when a new one comes: links of its time stay good."""
    good = read_link(path("1"))
    assert good
    assert judge(good, [b"c" * 32, KEYS["1"]], NOW) is Verdict.GOOD
    assert judge(good, [b"c" * 32, KEYS["two"]], NOW) is Verdict.WRONG


def test_secrets_are_not_in_what_is_printed() -> None:
    link = read_link(path())
    assert link
    assert link.signature not in repr(link)
    assert "aaaa" not in repr(SignedLinks("", "1", KEYS["1"]))
