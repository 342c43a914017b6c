"""Every example is what it says: manifests that are accepted as they stand, and a client that works."""

from __future__ import annotations

import runpy
import wave
from pathlib import Path

import av
import pytest

from avatar_cli.request import requests
from avatar_core.manifests import read_manifests
from avatar_core.resources import AvatarSession, settle
from avatar_inference.server import ServerSettings, serve

EXAMPLES = Path(__file__).parent.parent / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_is_accepted_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text()
    found = read_manifests(text, path.name)
    for resource in found:
        if isinstance(resource, AvatarSession):
            assert 12 <= settle(resource.spec).fps <= 30
    assert f"avatar run examples/{path.name}" in text
    sessions = [resource for resource in found if isinstance(resource, AvatarSession)]
    flags = {} if sessions else {"prompt": "Hello"}
    assert len(requests(text, path.name, flags, environment={})) == max(1, len(sessions))


def test_the_sound_of_the_audio_example_is_there() -> None:
    (session,) = read_manifests((EXAMPLES / "audio.yaml").read_text())
    assert isinstance(session, AvatarSession)
    assert session.spec.audio
    with wave.open(str(EXAMPLES / session.spec.audio)) as sound:
        assert sound.getnframes() / sound.getframerate() > 2


async def test_the_client_turns_a_wav_into_a_video_of_its_length(tmp_path: Path) -> None:
    target = tmp_path / "welcome.mp4"
    main = runpy.run_path(str(EXAMPLES / "client.py"))["main"]
    async with serve(ServerSettings(port=0, drain_seconds=1)) as running:
        await main(str(EXAMPLES / "welcome.wav"), str(target), running.target)
    with wave.open(str(EXAMPLES / "welcome.wav")) as sound:
        spoken = sound.getnframes() / sound.getframerate()
    with av.open(str(target)) as video:
        frames = sum(1 for _ in video.decode(video=0))
    assert frames / 15 == pytest.approx(0.12 + spoken + 0.3, abs=1 / 15)


def test_the_client_example_is_short() -> None:
    source = (EXAMPLES / "client.py").read_text()
    body = source.split("async def main", 1)[1].split("if __name__", 1)[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20
