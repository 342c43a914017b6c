"""Keys in files that are changed as the kubelet changes them, by a symlink that is put in another's place."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_core.key_files import FollowedLinks, Held, KeyFile, Look, decide, follow
from avatar_core.links import KEY_BYTES_MIN, Verdict, judge, read_link

OLD, NEW, NEXT = b"o" * 32, b"n" * 40, b"x" * 64
UID = "11111111-2222-3333-4444-555555555555"
NOW = 1_800_000_000


class Mounted:
    """A volume of a Secret: `key` -> `..data/key`, `..data` -> a folder of its own for each content."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder, self._count = folder, 0
        self.put(key)
        self.file = folder / "key"
        self.file.symlink_to("..data/key")

    def put(self, key: bytes | None) -> None:
        """All at once; None: a Secret without that entry."""
        self._count += 1
        made = self._folder / f"..{self._count}"
        made.mkdir()
        if key is not None:
            (made / "key").write_bytes(key)
        (self._folder / "..data_tmp").symlink_to(made.name)
        (self._folder / "..data_tmp").replace(self._folder / "..data")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path, OLD)


def test_a_changed_secret_is_taken_up(mounted: Mounted) -> None:
    file = KeyFile("1", mounted.file)
    assert (file.look(), file.key) == (Look.SAME, OLD)
    mounted.put(NEW)
    assert (file.look(), file.key) == (Look.CHANGING, OLD)
    assert (file.look(), file.key) == (Look.TAKEN, NEW)
    assert (file.look(), file.key) == (Look.SAME, NEW)


@pytest.mark.parametrize("bad", [None, b"", NEW[: KEY_BYTES_MIN - 1]])
def test_what_is_no_key_changes_nothing_and_is_told_once(
    mounted: Mounted, bad: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile("1", mounted.file)
    mounted.put(bad)
    assert [file.look() for _ in range(3)] == [Look.REFUSED] * 3
    assert file.key == OLD
    (told,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "key 1 of links" in told.getMessage()
    mounted.put(NEW)
    assert [file.look(), file.look()] == [Look.CHANGING, Look.TAKEN]
    mounted.put(bad)
    file.look()
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2


def test_a_file_met_while_it_is_written_is_not_taken(tmp_path: Path) -> None:
    """Written in place, as no kubelet does: the first half is long enough for a key."""
    path = tmp_path / "key"
    path.write_bytes(OLD)
    file = KeyFile("1", path)
    path.write_bytes(NEXT[:33])
    assert file.look() is Look.CHANGING
    path.write_bytes(NEXT)
    assert (file.look(), file.key) == (Look.CHANGING, OLD)
    assert (file.look(), file.key) == (Look.TAKEN, NEXT)


@given(st.lists(st.sampled_from([OLD, NEW, NEXT, b"short", None]), max_size=12))
def test_the_key_in_use_is_always_one_that_stood_there_twice(found: list[bytes | None]) -> None:
    held, seen = Held(OLD), {OLD}
    for before, each in zip([None, *found], found, strict=False):
        held, look = decide(held, each)
        if before == each and look is not Look.REFUSED:
            seen.add(each or b"")
        assert held.key in seen
        assert (look is Look.REFUSED) == (each in {None, b"short"})


def test_a_process_does_not_begin_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        KeyFile("1", tmp_path / "key")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyFile("1", tmp_path / "key")


def test_links_hold_while_keys_change_places(tmp_path: Path) -> None:
    """The whole rotation: the new key is accepted, then signs, and the old one is still accepted."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    signing, other = Mounted(first, OLD), Mounted(second, OLD)
    gateway, operator = [KeyFile("1", signing.file), KeyFile("2", other.file)], KeyFile("1", signing.file)
    links = FollowedLinks("", operator)

    def look(*files: KeyFile) -> None:
        for file in (*files, *files):
            file.look()

    def worth(url: str) -> Verdict:
        link = read_link(url)
        assert link
        return judge(link, [file.key for file in gateway], NOW)

    before = links.url("team", UID, NOW + 60)
    other.put(NEW)
    look(*gateway)
    signing.put(NEW)
    look(operator)
    early = links.url("team", UID, NOW + 60)
    assert early != before
    assert [worth(before), worth(early)] == [Verdict.GOOD] * 2  # the operator was the first to see it
    other.put(OLD)
    look(*gateway)
    assert [worth(before), worth(early)] == [Verdict.GOOD] * 2
    other.put(NEW)
    look(*gateway)
    assert [worth(before), worth(early)] == [Verdict.WRONG, Verdict.GOOD]


async def test_files_are_followed_and_looks_are_told(mounted: Mounted) -> None:
    file, looks = KeyFile("1", mounted.file), Counter[tuple[str, Look]]()
    taken = asyncio.Event()

    def told(name: str, look: Look) -> None:
        looks[name, look] += 1
        if look is Look.TAKEN:
            taken.set()

    following = asyncio.create_task(follow([file], told, 0.01))
    mounted.put(NEW)
    async with asyncio.timeout(5):
        await taken.wait()
    following.cancel()
    assert (looks["1", Look.TAKEN], file.key) == (1, NEW)


def test_keys_are_not_in_what_is_printed(mounted: Mounted) -> None:
    assert "oooo" not in repr(Held(OLD, NEW)) + repr(KeyFile("1", mounted.file))
    assert "nnnn" not in repr(Held(OLD, NEW))
