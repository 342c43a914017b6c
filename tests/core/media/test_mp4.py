from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests.support.flash_click import Clip, encode, write_fragments
from tests.support.media_files import sound_file, tone

from avatar_core.errors import AvatarError, Reason
from avatar_core.media.mp4 import probe, remux

CLIP = Clip(2.0, Fraction(30000, 1001), 22050, channels=2)


@pytest.fixture
def fragments(tmp_path: Path) -> Path:
    return write_fragments(encode(CLIP), tmp_path / "fragments.mp4")


def boxes(data: bytes) -> list[str]:
    found, position = [], 0
    while position < len(data):
        found.append(data[position + 4 : position + 8].decode())
        position += int.from_bytes(data[position : position + 4], "big")
    return found


def packets(path: Path) -> dict[str, list[tuple[Fraction, bytes]]]:
    found: dict[str, list[tuple[Fraction, bytes]]] = {"video": [], "audio": []}
    with av.open(path) as container:
        for packet in container.demux():
            if packet.size:
                found[packet.stream.type].append((packet.pts * packet.time_base, bytes(packet)))
    return found


def test_the_published_file_has_its_index_in_front(fragments: Path, tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    remux(fragments, target, {})
    kinds = boxes(target.read_bytes())
    assert kinds.count("mdat") == 1
    assert kinds.index("moov") < kinds.index("mdat")
    assert "moof" not in kinds
    assert boxes(fragments.read_bytes())[:2] == ["ftyp", "moov"]


def test_the_packets_are_the_same_at_the_same_times(fragments: Path, tmp_path: Path) -> None:
    remux(fragments, tmp_path / "video.mp4", {})
    assert packets(tmp_path / "video.mp4") == packets(fragments)


def test_the_same_fragments_give_the_same_file(fragments: Path, tmp_path: Path) -> None:
    for name in "ab":
        remux(fragments, tmp_path / name, {"engine": "x"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_probe_tells_what_is_in_it(fragments: Path, tmp_path: Path) -> None:
    remux(fragments, tmp_path / "video.mp4", {"engine": "preview"})
    facts = probe(tmp_path / "video.mp4")
    assert facts.frames == CLIP.frames
    assert (facts.width, facts.height, facts.fps) == (64, 48, CLIP.fps)
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert (facts.sample_rate, facts.channels) == (22050, 2)
    assert facts.video_duration == CLIP.frames / CLIP.fps
    assert facts.metadata["engine"] == "preview"


def test_rubbish_and_cut_fragments_are_no_video(fragments: Path, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.mp4"
    sound_only = sound_file("mp4", "aac", tone(16000, 0.5), 16000)
    for data in (b"", b"no video", fragments.read_bytes()[:400]):
        rubbish.write_bytes(data)
        with pytest.raises(AvatarError) as caught:
            remux(rubbish, tmp_path / "video.mp4", {})
        assert caught.value.reason is Reason.INTERNAL
    for data in (b"no video", sound_only):
        rubbish.write_bytes(data)
        with pytest.raises(AvatarError) as caught:
            probe(rubbish)
        assert caught.value.reason is Reason.INTERNAL


def test_a_target_that_cannot_be_written_is_an_os_error(fragments: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        remux(fragments, tmp_path / "missing" / "video.mp4", {})
