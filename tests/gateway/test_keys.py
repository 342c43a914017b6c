"""Which paths name an object, and what may be said in a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_core.errors import InvalidInputError
from avatar_gateway.configuration import read_configuration
from avatar_gateway.keys import read_key

UID = "11111111-2222-3333-4444-555555555555"


STRANGE = [
    *("a", "own.json", "live.m4s", "video.mp4.mp4", "xvideo.mp4", "videoxmp4", "VIDEO.MP4", ".hidden", ".."),
    *("a/b", "a%2fb", "%2e%2e", "video%2emp4", "video.mp4%00", "video.mp4?x=1", "a\\b", "video.mp4#1"),
    *("ä", "video.mp4\n", "video.mp4/", "a" * 300),
]


@pytest.mark.parametrize("name", ["video.mp4", "result.json", "reply.json", "speech.json", "speech.pcm"])
def test_keys(name: str) -> None:
    key = read_key(f"/v1/store/team-a/{UID}/{name}")
    assert key is not None
    assert str(key) == f"team-a/{UID}/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "",
        f"/{UID}",
        f"team-a/{UID}",
        f"team-a/{UID}/",
        *(f"team-a/{UID}/{name}" for name in STRANGE),
        f"team-a//{UID}/reply.json",
        f"../{UID}/reply.json",
        f"team.a/{UID}/reply.json",
        f"-a/{UID}/reply.json",
        f"team-a/{UID.upper()}x/reply.json",
        "team-a/uid/reply.json",
        "team-a/../reply.json",
    ],
)
def test_what_is_no_key(path: str) -> None:
    assert read_key(f"/v1/store/{path}") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("video.mp4", "video/mp4"),
        ("speech.pcm", "application/octet-stream"),
        ("result.json", "application/json"),
    ],
)
def test_types_come_from_names(name: str, kind: str) -> None:
    key = read_key(f"/v1/store/team-a/{UID}/{name}")
    assert key is not None
    assert key.content_type == kind


def test_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("{store: /videos, readers: ['avatars:avatar-operator'], objectBytes: 5}")
    found = read_configuration(path)
    assert (found.store, found.readers, found.object_bytes) == ("/videos", ("avatars:avatar-operator",), 5)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "store"),
        ("{store: x, strange: 1}", "strange"),
        ("{store: x, readers: [a]}", "readers"),
        ("[", "gateway.yaml"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=field):
        read_configuration(path)
