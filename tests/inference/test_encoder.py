from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.flash_click import Clip, encode, write_fragments

from avatar_core.errors import AvatarError, Reason
from avatar_core.media.mp4 import probe, remux
from avatar_core.timeline import samples_until
from avatar_inference import h264
from avatar_inference.encoder import Chunk, Encoder, EncoderSettings, output_size
from avatar_inference.h264 import h264_encoder, nal_units

CLIP = Clip(2.0, Fraction(15), 24000)


def joined(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def packets(data: bytes, kind: str) -> list[av.Packet]:
    with av.open(BytesIO(data)) as container:
        return [packet for packet in container.demux() if packet.size and packet.stream.type == kind]


def decoded_frames(data: bytes) -> int:
    with av.open(BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def decoded_sound(data: bytes) -> np.ndarray:
    with av.open(BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def a_picture(value: int = 90, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_the_first_write_gives_a_picture_that_decodes() -> None:
    encoder = Encoder(CLIP.settings())
    first = encoder.write(a_picture(), np.zeros((1600, 1), np.int16))
    assert [chunk.kind for chunk in first] == ["init", "fragment"]
    assert first[1].starts_with_keyframe
    assert (first[1].start_us, first[1].duration_us) == (0, 66_666)
    assert decoded_frames(joined(first)) == 1


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(15), Fraction(25), Fraction(30000, 1001)], ids=str)
def test_fragments_are_short_and_begin_with_every_keyframe(fps: Fraction) -> None:
    chunks = list(encode(Clip(4.0, fps, 24000)))
    fragments = chunks[1:]
    assert {c.kind for c in fragments} == {"fragment"}
    assert all(c.duration_us <= 200_000 + 1_000_000 / fps for c in fragments)
    inner = [c for c, after in pairwise(fragments[1:-1]) if not after.starts_with_keyframe]
    assert all(c.duration_us >= 199_999 for c in inner)
    keyframes = [c.start_us for c in fragments if c.starts_with_keyframe]
    assert keyframes == [int(second * round(fps) * 1_000_000 / fps) for second in range(len(keyframes))]
    assert sum(packet.is_keyframe for packet in packets(joined(chunks), "video")) == len(keyframes)


@pytest.mark.parametrize("flushes", [[], [3, 4, 5, 12, 20], list(range(30))], ids=["none", "some", "all"])
def test_fragments_join_without_gaps(flushes: list[int]) -> None:
    fragments = list(encode(CLIP, flush_after=flushes))[1:]
    assert fragments[0].start_us == 0
    for before, after in pairwise(fragments):
        assert before.start_us + before.duration_us == after.start_us
    assert sum(c.duration_us for c in fragments) == int(CLIP.frames / CLIP.fps * 1_000_000)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert joined(list(encode(CLIP, flush_after=[9]))) == joined(list(encode(CLIP, flush_after=[9])))


def test_metadata_travels_to_the_published_file(tmp_path: Path) -> None:
    fragments = write_fragments(encode(CLIP), tmp_path / "fragments.mp4")
    assert probe(fragments).metadata == {"comment": "AI-generated", "render_id": "flash-click"}
    remux(fragments, tmp_path / "video.mp4", {"engine": "préview"})
    assert probe(tmp_path / "video.mp4").metadata == {
        "comment": "AI-generated",
        "render_id": "flash-click",
        "engine": "préview",
    }


@pytest.mark.parametrize("level", [0, 9000])
def test_a_flush_hands_out_everything_at_once(level: int) -> None:
    encoder = Encoder(CLIP.settings())
    chunks: list[Chunk] = []
    for frame in range(8):
        start, end = (samples_until(f, 24000, CLIP.fps) for f in (frame, frame + 1))
        chunks += encoder.write(a_picture(frame * 20), np.full((end - start, 1), level, np.int16))
    before = joined(chunks)
    assert decoded_frames(before) < 8
    chunks += encoder.flush()
    assert decoded_frames(joined(chunks)) == 8
    # Sound goes as far as whole AAC blocks of what was pushed; a silent last one may wait.
    blocks = 8 * 1600 // 1024
    assert len(decoded_sound(joined(chunks))) == (blocks if level else blocks - 1) * 1024
    assert encoder.flush() == []
    assert [c.kind for c in chunks] == ["init", *["fragment"] * (len(chunks) - 1)]


def test_sound_may_come_after_its_picture() -> None:
    """At a flush the last frame reaches beyond the sound there is; the rest follows with later frames."""
    encoder = Encoder(CLIP.settings())
    rng = np.random.default_rng(0)
    sound = (3000 * np.convolve(rng.standard_normal(30 * 1600), np.ones(8) / 8, "same")).astype(np.int16)
    sound[: CLIP.lead_in] = 0
    late = Encoder(CLIP.settings())
    one, two = [], []
    sent = 0
    for frame in range(30):
        one += encoder.write(a_picture(), sound[frame * 1600 : (frame + 1) * 1600, None])
        until = (frame + 1) * 1600 - (700 if frame % 3 else 0)
        two += late.write(a_picture(), sound[sent:until, None])
        sent = until
    one += encoder.close()
    two += late.close()
    got, want = decoded_sound(joined(two)), decoded_sound(joined(one))
    assert np.array_equal(got[: 28 * 1600], want[: 28 * 1600])


@settings(max_examples=25, deadline=None)
@given(flushes=st.sets(st.integers(0, 36), max_size=12), lead_in_ms=st.sampled_from([0, 120]))
def test_flushes_leave_no_gap(flushes: set[int], lead_in_ms: int) -> None:
    clip = Clip(2.0, Fraction(15), 16000, lead_in_ms=lead_in_ms)
    flushed, plain = joined(list(encode(clip, flush_after=flushes))), joined(list(encode(clip)))
    for kind in ("video", "audio"):
        with_flush, without = packets(flushed, kind), packets(plain, kind)
        assert [(p.pts, p.duration) for p in with_flush] == [(p.pts, p.duration) for p in without]
    assert len(decoded_sound(flushed)) == len(decoded_sound(plain))


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("frame", [5, 6, 7])
def test_sound_that_begins_right_after_a_flush_is_whole(rate: int, frame: int) -> None:
    """Silence, a flush, and a word that begins with the very next sample."""
    onset, end = (samples_until(f, rate, CLIP.fps) for f in (frame, 20))
    sound = np.zeros((end, 1), np.int16)
    times = np.arange(end - onset) / rate
    sound[onset:, 0] = 12000 * np.sin(2 * np.pi * 500 * times)
    heard = []
    for flushed in (True, False):
        encoder = Encoder(EncoderSettings(64, 48, None, CLIP.fps, rate, 1, onset))
        chunks: list[Chunk] = []
        for f in range(20):
            start, stop = (samples_until(g, rate, CLIP.fps) for g in (f, f + 1))
            chunks += encoder.write(a_picture(), sound[start:stop])
            if flushed and f == frame - 1:
                chunks += encoder.flush()
        heard.append(decoded_sound(joined(chunks + encoder.close())))
    assert np.abs(heard[0] - heard[1]).max() < 0.02


def test_access_units_decode_to_the_same_as_fragments() -> None:
    chunks = list(encode(CLIP, fragmented=False))
    assert chunks[0].kind == "init"
    assert {c.kind for c in chunks[1:]} == {"video", "audio"}
    video = [c for c in chunks if c.kind == "video"]
    sound = [c for c in chunks if c.kind == "audio"]
    for before, after in [*pairwise(video), *pairwise(sound)]:
        assert before.start_us + before.duration_us == after.start_us
    for chunk in video:
        kinds = [nal[0] & 0x1F for nal in nal_units(chunk.data)]
        assert ({7, 8} <= set(kinds)) == chunk.starts_with_keyframe
        assert chunk.data.startswith(b"\0\0\0\1")
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for c in video for frame in decoder.decode(av.Packet(c.data))] + decoder.decode(None)
    assert len(frames) == CLIP.frames
    assert (frames[0].colorspace, frames[0].color_range) == (1, 1)
    listener = av.CodecContext.create("aac", "r")
    listener.extradata = chunks[0].data
    heard = [frame.to_ndarray()[0] for c in sound for frame in listener.decode(av.Packet(c.data))]
    want = decoded_sound(joined(list(encode(CLIP))))
    assert np.array_equal(np.concatenate(heard)[: len(want)], want)
    end = CLIP.frames / CLIP.fps * 1_000_000
    assert video[-1].start_us + video[-1].duration_us == int(end)
    assert sound[-1].start_us + sound[-1].duration_us == pytest.approx(int(end), abs=42)


def test_access_units_without_lead_in_begin_before_zero() -> None:
    chunks = list(encode(Clip(0.5, Fraction(15), 16000, lead_in_ms=0), fragmented=False))
    sound = [c for c in chunks if c.kind == "audio"]
    assert sound[0].start_us == -64_000


def test_the_height_may_be_chosen() -> None:
    assert output_size(512, 512, None) == (512, 512)
    assert output_size(704, 1216, 608) == (352, 608)
    assert output_size(500, 300, 128) == (214, 128)
    encoder = Encoder(EncoderSettings(64, 48, 128, Fraction(15), 16000, 1, 1920))
    data = joined(encoder.write(a_picture(), np.zeros((1066, 1), np.int16)))
    with av.open(BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (170, 128)


def test_mistakes_of_the_caller_are_errors() -> None:
    encoder = Encoder(CLIP.settings())
    with pytest.raises(ValueError, match="picture of shape"):
        encoder.write(a_picture(width=66), np.zeros((1600, 1), np.int16))
    with pytest.raises(ValueError, match="more than"):
        Encoder(CLIP.settings()).write(a_picture(), np.zeros((1601, 1), np.int16))


def test_without_an_h264_encoder_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert h264_encoder().codec == "libx264"
    monkeypatch.setattr(h264.av, "codecs_available", {"h264", "libopenh264"})
    assert h264_encoder().codec == "libopenh264"
    monkeypatch.setattr(h264.av, "codecs_available", {"h264"})
    with pytest.raises(AvatarError) as caught:
        h264_encoder()
    assert caught.value.reason is Reason.MISSING_DEPENDENCY
