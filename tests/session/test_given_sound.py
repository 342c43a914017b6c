"""Sound at an https:// address: fetched first, with the same rules as pictures."""

from __future__ import annotations

import ssl
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import trustme
from tests.support.https_server import HttpsServer, https_server
from tests.support.sessions import Run, job
from tests.support.sound import babble

from avatar_core.addresses import AddressRules
from avatar_core.errors import AvatarError, Reason
from avatar_core.fetching import Fetching
from avatar_session.pipeline import run_session
from avatar_session.receipt import Receipt
from avatar_session.surroundings import Surroundings

LOOPBACK = {"allow": ["127.0.0.0/8", "::1/128"]}


def wav() -> bytes:
    """A second of sound."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(babble(1.0))
    return out.getvalue()


@dataclass
class Place:
    """A source of sound, and sessions that trust it."""

    run: Run
    source: HttpsServer
    tls: ssl.SSLContext

    async def session(
        self, path: str, rules: AddressRules, on_commit: Callable[[Receipt], None] = lambda _: None
    ) -> Receipt:
        around = Surroundings(
            self.run.store,
            self.run.connect,
            fetching=Fetching(rules=rules, seconds=20, tls=self.tls),
            on_commit=on_commit,
        )
        return await run_session(job(audio=self.source.url(path, "localhost")), around)


@pytest.fixture
async def place(run: Run) -> AsyncIterator[Place]:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    async with https_server(theirs) as source:
        yield Place(run, source, ours)


async def test_it_is_fetched_and_drawn(place: Place) -> None:
    place.source.answers("/a.wav", body=wav())
    receipt = await place.session("/a.wav", AddressRules.read(LOOPBACK))
    assert receipt.video.frames >= 15
    assert receipt.reply == ""


async def test_what_was_fetched_does_not_stay_beside_its_spool(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found: set[str] = set()
    place.source.answers("/a.wav", body=wav())

    def look(_: Receipt) -> None:
        found.update(path.name for path in tmp_path.glob("avatar-*/*"))

    await place.session("/a.wav", AddressRules.read(LOOPBACK), look)
    assert "speech.pcm" in found
    assert "sound" not in found


async def test_a_place_inside_is_refused(place: Place) -> None:
    place.source.answers("/a.wav", body=wav())
    with pytest.raises(AvatarError) as caught:
        await place.session("/a.wav", AddressRules())
    assert (caught.value.reason, caught.value.field) == (Reason.SOURCE_REFUSED, "spec.audio")
    assert place.source.requests == []


async def test_what_is_no_sound_names_the_field(place: Place) -> None:
    place.source.answers("/a.wav", body=b"no sound")
    with pytest.raises(AvatarError) as caught:
        await place.session("/a.wav", AddressRules.read(LOOPBACK))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_AUDIO, "spec.audio")
