from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.support.media_files import sound_file, tone
from tests.support.portraits import (
    FACE,
    MOUTH,
    astronaut,
    faceless,
    moved,
    prepare,
    turn_mp4,
    without_face,
    write_clip,
)

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import PICTURE_SIDE_MAX
from avatar_inference.bundle import Bundle
from avatar_inference.preview.parting import find_mouth
from avatar_inference.source.faces import given_face
from avatar_inference.source.scan import scan_source
from avatar_inference.source.source import Source, SourcePictures, TimedPicture
from avatar_inference.source.video import open_video

GIVEN = (FACE.x, FACE.y, FACE.width, FACE.height)
SMALL = astronaut()[:256, 96:352]
"""The portrait's upper part, quick to encode."""


def mouths_of(bundle: Bundle) -> list[tuple[float, float] | None]:
    """In pixels of the pictures."""
    return [
        None if box is None else (box.x + float(x) * box.width / 256, box.y + float(y) * box.height / 256)
        for box, (x, y, *_) in zip(bundle.boxes, bundle.arrays["photo.mouth"], strict=True)
    ]


def refused(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        prepare(path, face_box=(80, 66, 96, 96))
    assert caught.value.reason is Reason.INVALID_PICTURE
    return caught.value.message


def findings_of(path: Path) -> list[tuple[str, int, int]]:
    found = prepare(path).findings
    return [(f.reason, f.first_picture, f.last_picture) for f in found if f.reason != "SmallFace"]


def test_pictures_keep_their_real_times(tmp_path: Path) -> None:
    times = [0, 33, 100, 101, 150, 333, 1000]
    bundle = prepare(write_clip(tmp_path / "clip.mkv", [SMALL] * len(times), times)).bundle
    assert bundle.times_us == (0, 33_000, 100_000, 150_000, 333_000, 1_000_000)
    for picture in bundle.pictures:
        np.testing.assert_array_equal(picture, SMALL)


def test_a_clip_that_starts_late_starts_at_0_and_60_pictures_a_second_are_halved(tmp_path: Path) -> None:
    times = [5000 + round(number * 1000 / 60) for number in range(30)]
    bundle = prepare(write_clip(tmp_path / "clip.mkv", [SMALL] * 30, times)).bundle
    assert len(bundle.pictures) == 15
    np.testing.assert_allclose(np.diff(bundle.times_us), 33_333, atol=1000)
    assert bundle.times_us[0] == 0


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phone_held_upright_gives_an_upright_picture(tmp_path: Path, degrees: int) -> None:
    tall = np.ascontiguousarray(astronaut()[:400])
    lying = np.rot90(tall, degrees // 90)
    path = write_clip(tmp_path / "clip.mp4", [lying] * 2, codec="libx264", pix_fmt="yuv444p")
    bundle = prepare(turn_mp4(path, degrees)).bundle
    assert (bundle.width, bundle.height) == (512, 400)
    assert np.abs(bundle.pictures[0].astype(int) - tall).mean() < 4
    assert mouths_of(bundle)[0] == pytest.approx(MOUTH, abs=3)


@pytest.mark.parametrize("matrix", [1, 5, 6, 9], ids=["BT.709", "BT.470BG", "SMPTE170M", "BT.2020"])
@pytest.mark.parametrize("full", [1, 2], ids=["limited", "full"])
def test_colours_follow_the_tags(tmp_path: Path, matrix: int, full: int) -> None:
    colours = [(200, 60, 50), (40, 180, 70), (50, 80, 210), (220, 200, 60), (128, 128, 128), (250, 250, 250)]
    patches = np.repeat(np.repeat(np.array([colours], np.uint8), 50, 1), 256, 0)
    path = write_clip(
        tmp_path / "clip.mp4", [patches], codec="libx264", pix_fmt="yuv444p", tags=(matrix, full)
    )
    picture = next(iter(open_video(path, PICTURE_SIDE_MAX).frames()))[1]
    for number, colour in enumerate(colours):
        np.testing.assert_allclose(picture[128, number * 50 + 25], colour, atol=4)


@pytest.mark.parametrize("curve", [18, 16], ids=["HLG", "PQ"])
def test_a_phone_s_bright_video_is_brought_to_usual_brightness(tmp_path: Path, curve: int) -> None:
    """Reference white (ITU-R BT.2408: 75 % in HLG, 58 % in PQ) becomes white."""
    white = {18: 191, 16: 148}[curve]
    grey = np.full((256, 256, 3), white, np.uint8)
    tags = (9, 1, curve, 9)
    path = write_clip(tmp_path / "clip.mp4", [grey], codec="libx264", pix_fmt="yuv420p10le", tags=tags)
    assert next(iter(open_video(path, PICTURE_SIDE_MAX).frames()))[1].mean() > 245


def test_large_and_odd_videos_are_fitted(tmp_path: Path) -> None:
    large = np.asarray(Image.fromarray(astronaut()).resize((1921, 1921)))
    bundle = prepare(write_clip(tmp_path / "large.mkv", [large])).bundle
    assert (bundle.width, bundle.height) == (1280, 1280)
    assert mouths_of(bundle)[0] == pytest.approx((MOUTH[0] * 2.5, MOUTH[1] * 2.5), abs=6)
    odd = prepare(write_clip(tmp_path / "odd.mkv", [astronaut()[:255, :401]])).bundle
    assert (odd.width, odd.height, odd.pictures[0].shape) == (400, 254, (254, 400, 3))


def test_the_mouth_follows_a_moving_face_in_every_picture(tmp_path: Path) -> None:
    path = [(round(60 * np.sin(i / 9)), round(40 * np.cos(i / 7))) for i in range(40)]
    bundle = prepare(write_clip(tmp_path / "clip.mkv", [moved(astronaut(), *by) for by in path])).bundle
    expected = np.array([(MOUTH[0] + right, MOUTH[1] + down) for right, down in path])
    found = np.array(mouths_of(bundle), float)
    assert np.abs(found - expected).max() < 5
    assert np.abs(np.diff(found - expected, axis=0)).max() < 2.5
    assert len({id(mask) for mask in bundle.masks}) == len({box.width for box in bundle.boxes if box})


def test_pictures_without_a_face_pass_untouched_and_in_step(tmp_path: Path) -> None:
    pictures = [SMALL] * 10 + [faceless(256, 256)] * 15 + [SMALL] * 7
    path = write_clip(tmp_path / "clip.mkv", pictures)
    prepared = prepare(path)
    bundle = prepared.bundle
    assert [box is None for box in bundle.boxes] == [False] * 10 + [True] * 15 + [False] * 7
    assert [mask is None for mask in bundle.masks] == [box is None for box in bundle.boxes]
    assert bundle.times_us == tuple(number * 40_000 for number in range(32))
    for given, kept in zip(pictures, bundle.pictures, strict=True):
        np.testing.assert_array_equal(kept, given)
    assert findings_of(path) == [("HardCut", 10, 10), ("NoFace", 10, 24), ("HardCut", 25, 25)]
    messages = [finding.message for finding in prepared.findings]
    assert "pictures 10 to 24: no face is seen; they are shown as they are" in messages


@pytest.mark.parametrize(("leaves", "returns"), [(4, 17), (5, 18), (6, 19), (11, 29)])
def test_a_face_that_leaves_without_a_cut_is_missed_from_the_very_picture(
    tmp_path: Path, leaves: int, returns: int
) -> None:
    gone = without_face(astronaut())[:256, 96:352]
    pictures = [gone if leaves <= number < returns else SMALL for number in range(32)]
    path = write_clip(tmp_path / "clip.mkv", pictures)
    assert [box is None for box in prepare(path).bundle.boxes] == [
        leaves <= number < returns for number in range(32)
    ]
    assert findings_of(path) == [("NoFace", leaves, returns - 1)]


def test_a_face_missed_for_a_moment_is_bridged(tmp_path: Path) -> None:
    pictures = [SMALL] * 12 + [without_face(astronaut())[:256, 96:352]] * 4 + [SMALL] * 10
    bundle = prepare(write_clip(tmp_path / "clip.mkv", pictures)).bundle
    assert all(bundle.boxes)


def test_two_faces_now_and_then_are_a_finding_and_always_an_error(tmp_path: Path) -> None:
    wide = np.full((256, 512, 3), 128, np.uint8)
    wide[:, :256] = SMALL
    second = wide.copy()
    second[40:200, 290:490] = astronaut()[40:200, 140:340]
    path = write_clip(tmp_path / "some.mkv", [wide] * 20 + [second] * 5)
    assert findings_of(path) == [("SeveralFaces", 20, 24)]
    assert [box.x < 256 for box in prepare(path).bundle.boxes if box] == [True] * 25
    path = write_clip(tmp_path / "always.mkv", [second] * 6)
    with pytest.raises(InvalidInputError, match="2 faces were found") as caught:
        prepare(path)
    assert caught.value.reason is Reason.SEVERAL_FACES
    boxes = prepare(path, face_index=2).bundle.boxes
    other = prepare(path, face_index=1).bundle.boxes
    assert {box.x < 256 for box in boxes if box} != {box.x < 256 for box in other if box}


def test_a_blurred_face_is_a_finding(tmp_path: Path) -> None:
    blurred = np.asarray(Image.fromarray(astronaut()).filter(ImageFilter.GaussianBlur(3)))
    assert findings_of(write_clip(tmp_path / "blurred.mkv", [blurred])) == [("Blurred", 0, 0)]
    assert findings_of(write_clip(tmp_path / "sharp.mkv", [astronaut()])) == []


def test_a_clip_without_a_face_and_one_with_a_small_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        prepare(write_clip(tmp_path / "cup.mkv", [faceless()] * 4))
    assert caught.value.reason is Reason.NO_FACE
    small = np.asarray(Image.fromarray(astronaut()).resize((256, 256)))
    with pytest.raises(InvalidInputError) as caught:
        prepare(write_clip(tmp_path / "small.mkv", [small] * 4))
    assert caught.value.reason is Reason.FACE_TOO_SMALL


def test_pictures_are_given_in_any_order_to_any_thread(tmp_path: Path) -> None:
    pictures = [np.full((128, 128, 3), number, np.uint8) for number in range(0, 250, 10)]
    source = open_video(write_clip(tmp_path / "clip.mkv", pictures), PICTURE_SIDE_MAX)
    lazy = SourcePictures(source, len(pictures))
    order = [*range(25), 3, 24, 0, 12, 12, -1]
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda index: int(lazy[index][0, 0, 0]), order))
    assert seen == [index % 25 * 10 for index in order]
    with pytest.raises(IndexError):
        lazy[25]


def test_a_source_that_changes_under_the_hand_is_an_error(tmp_path: Path) -> None:
    bundle = prepare(write_clip(tmp_path / "clip.mkv", [SMALL] * 9)).bundle
    write_clip(tmp_path / "clip.mkv", [SMALL] * 3)
    with pytest.raises(InvalidInputError, match="changed while it was read"):
        bundle.pictures[8]


def test_a_scan_holds_few_pictures_however_long_the_source() -> None:
    alive = most = 0

    def forget() -> None:
        nonlocal alive
        alive -= 1

    def frames() -> Iterator[TimedPicture]:
        nonlocal alive, most
        for number in range(150):
            picture = np.full((128, 128, 3), 90 + number % 2, np.uint8)
            alive += 1
            most = max(most, alive)
            weakref.finalize(picture, forget)
            yield TimedPicture(number * 25_000, picture, number)

    source = Source(128, 128, 1.0, frames)
    given = given_face((20, 20, 80, 80), 1.0, 128, 128)
    scan = scan_source(source, given, 0, lambda *step: None, find_mouth)
    assert len(scan.times_us) == 150
    assert most <= 15


@pytest.mark.parametrize("last_ms", [60_001, 3_600_000])
def test_a_video_longer_than_a_minute_is_refused(tmp_path: Path, last_ms: int) -> None:
    path = write_clip(tmp_path / "long.mkv", [SMALL] * 2, [0, last_ms])
    assert "longer than 60 s or 1800 pictures" in refused(path)
    just = write_clip(tmp_path / "just.mkv", [SMALL] * 2, [0, 60_000])
    assert prepare(just, face_box=(80, 66, 96, 96)).bundle.times_us == (0, 60_000_000)


def test_more_pictures_than_1800_are_refused(tmp_path: Path) -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    clip = write_clip(tmp_path / "many.mkv", [picture] * 1801, [number * 30 for number in range(1801)])
    frames = open_video(clip, PICTURE_SIDE_MAX).frames()
    for _ in range(1800):
        next(frames)
    with pytest.raises(InvalidInputError, match="1800 pictures"):
        next(frames)


def test_sound_alone_and_a_track_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sound.mp4").write_bytes(sound_file("mp4", "aac", tone(16_000, 0.5), 16_000))
    assert "no video track" in refused(tmp_path / "sound.mp4")
    empty = tmp_path / "empty.mkv"
    with av.open(str(empty), "w") as sink:
        stream = sink.add_stream("ffv1", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "bgr0"
        sink.start_encoding()
    refused(empty)


def test_a_video_cut_short_or_with_broken_pictures_is_refused_or_shorter(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [astronaut()] * 4, codec="libx264", pix_fmt="yuv444p")
    data = clip.read_bytes()
    (tmp_path / "head.mp4").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "head.mp4")
    lossless = write_clip(tmp_path / "clip.mkv", [SMALL] * 4).read_bytes()
    (tmp_path / "noise.mkv").write_bytes(lossless[:1500] + bytes(len(lossless) - 1500))
    refused(tmp_path / "noise.mkv")


def png_in_mov(path: Path, size: tuple[int, int]) -> Path:
    """A MOV whose one PNG picture claims a size of its own."""
    write_clip(path, [SMALL], codec="png", pix_fmt="rgb24")
    data = bytearray(path.read_bytes())
    start = data.index(b"IHDR") + 4
    data[start : start + 8] = size[0].to_bytes(4) + size[1].to_bytes(4)
    data[start + 13 : start + 17] = zlib.crc32(data[start - 4 : start + 13]).to_bytes(4)
    path.write_bytes(data)
    return path


def test_huge_pictures_in_a_video_are_refused(tmp_path: Path) -> None:
    refused(png_in_mov(tmp_path / "bomb.mov", (16_000, 16_000)))
    thin = write_clip(tmp_path / "wide.mkv", [np.zeros((128, 8200, 3), np.uint8)])
    assert "8200x128" in refused(thin)
    assert "126x300" in refused(write_clip(tmp_path / "tiny.mkv", [np.zeros((300, 126, 3), np.uint8)]))


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{clip}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.mkv\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{clip}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "list.svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{clip}"/></svg>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_file_that_points_elsewhere_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [SMALL])
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(PLAYLISTS[name].format(clip=clip))
    assert "neither a photograph" in refused(tmp_path / name)


def test_what_a_playlist_points_to_can_be_read_by_itself(tmp_path: Path) -> None:
    """So that the refusals above are not for another reason."""
    clip = write_clip(tmp_path / "clip.ts", [SMALL] * 3, codec="libx264", pix_fmt="yuv420p")
    assert len(prepare(clip, face_box=(80, 66, 96, 96)).bundle.times_us) == 3
