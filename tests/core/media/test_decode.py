from __future__ import annotations

import struct
import wave
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from tests.support.media_files import sound_file, tone

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.media.decode import read_sound

KINDS = [
    ("wav", "pcm_s16le", 22050, 1),
    ("wav", "pcm_f32le", 44100, 2),
    ("wav", "pcm_s24le", 24000, 1),
    ("mp3", "libmp3lame", 24000, 1),
    ("ogg", "libopus", 48000, 1),
    ("flac", "flac", 48000, 2),
    ("webm", "libopus", 48000, 2),
    ("mp4", "aac", 16000, 1),
    ("adts", "aac", 24000, 2),
    ("aiff", "pcm_s16be", 16000, 1),
]


class Pipe:
    """Gives bytes as they might come from a network: no seeking, no length."""

    def __init__(self, data: bytes, fail_at: int | None = None) -> None:
        self.data, self.position, self.fail_at = data, 0, fail_at

    def read(self, size: int = -1, /) -> bytes:
        if self.fail_at is not None and self.position >= self.fail_at:
            raise ConnectionResetError("the peer is gone")
        piece = self.data[self.position : self.position + min(size, 700)]
        self.position += len(piece)
        return piece


def decoded(source: bytes | Path | Pipe) -> tuple[int, np.ndarray]:
    sound = read_sound(source)
    return sound.rate, np.concatenate(list(sound.blocks))


def refused(source: bytes | Path | Pipe, reason: Reason = Reason.INVALID_AUDIO) -> str:
    with pytest.raises(InvalidInputError) as caught:
        decoded(source)
    assert caught.value.reason is reason
    assert caught.value.field == "audio"
    return caught.value.message


@pytest.mark.parametrize(("container", "codec", "rate", "channels"), KINDS)
def test_every_kind_of_file_gives_its_sound(container: str, codec: str, rate: int, channels: int) -> None:
    data = sound_file(container, codec, tone(rate, 1.0), rate, channels)
    got_rate, samples = decoded(data)
    assert (got_rate, samples.shape[1], samples.dtype) == (rate, channels, np.int16)
    assert len(samples) == pytest.approx(
        rate, abs=0.13 * rate
    )  # a bare AAC file does not say how much is padding
    middle = samples[rate // 4 : 3 * rate // 4, 0] / 32768
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * rate / len(middle) == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("flac", "flac")]
)
def test_sound_is_read_while_it_arrives(container: str, codec: str) -> None:
    data = sound_file(container, codec, tone(24000, 10.0), 24000)
    pipe = Pipe(data)
    sound = read_sound(pipe)
    assert next(sound.blocks).shape[1] == 1
    assert pipe.position < 70_000


def test_a_wav_file_comes_back_bit_for_bit() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, (5000, 2)).astype(np.int16)
    assert np.array_equal(decoded(wav(samples.tobytes(), 24000, 2))[1], samples)


def wav(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return out.getvalue()


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF - 36, 0xFFFFFFFF])
@pytest.mark.parametrize("seekable", [True, False])
def test_a_streamed_wav_that_declares_no_true_length_is_whole(length: int, seekable: bool) -> None:
    data = bytearray(wav(bytes(2 * 24000), 24000))
    data[40:44] = struct.pack("<I", length)
    assert len(decoded(bytes(data) if seekable else Pipe(bytes(data)))[1]) == 24000


def test_rates_are_brought_into_the_range() -> None:
    high, low = (sound_file("wav", "pcm_s16le", tone(rate, 0.5), rate) for rate in (96000, 6000))
    assert decoded(high)[0] == 48000
    assert len(decoded(high)[1]) == pytest.approx(24000, abs=2)
    assert decoded(low)[0] == 8000


def test_six_channels_become_two() -> None:
    samples = decoded(sound_file("flac", "flac", tone(48000, 0.5), 48000, 6))[1]
    assert samples.shape == (24000, 2)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"), [k for k in KINDS if k[0] in "wav flac mp4 aiff"]
)
def test_a_cut_off_file_is_refused(container: str, codec: str, rate: int, channels: int) -> None:
    data = sound_file(container, codec, tone(rate, 2.0), rate, channels)
    refused(data[: len(data) * 3 // 5])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(5000),
        b"<html><body>502 Bad Gateway</body></html>" * 30,
        b'{"error": "no such voice"}',
        np.random.default_rng(0).bytes(30000),
        wav(b"", 24000),
    ],
    ids=["empty", "zeros", "html", "json", "noise", "no samples"],
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    refused(data)
    refused(Pipe(data))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    samples = tone(16000, 0.5)
    samples[4000] = bad
    assert "finite" in refused(sound_file("wav", "pcm_f32le", samples, 16000))


def test_a_video_without_sound_is_refused() -> None:
    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4") as sink:
        stream = sink.add_stream("mpeg4", rate=15, width=64, height=64)
        sink.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        sink.mux(stream.encode(None))
    assert "no sound track" in refused(out.getvalue())


def test_playlists_lead_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "inner.wav"
    inner.write_bytes(wav(bytes(48000), 24000))
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{inner}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile {inner}\n"
    for text in (hls, concat):
        refused(text.encode())
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(text)
        refused(playlist)


@pytest.mark.parametrize("seekable", [True, False])
def test_two_hours_are_refused(seekable: bool) -> None:
    data = wav(bytes(2 * 8000 * 7200), 8000)
    message = refused(data if seekable else Pipe(data), Reason.AUDIO_TOO_LONG)
    assert "3600" in message


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "nothing.wav" in refused(tmp_path / "nothing.wav")
    refused(tmp_path)


def test_errors_of_the_source_pass_through() -> None:
    data = sound_file("wav", "pcm_s16le", tone(24000, 5.0), 24000)
    for fail_at in (0, 30_000, 150_000):
        with pytest.raises(ConnectionResetError):
            decoded(Pipe(data, fail_at))


def test_damaged_headers_never_escape_the_error_tree() -> None:
    rng = np.random.default_rng(3)
    files = [sound_file(c, k, tone(r, 0.3), r, n) for c, k, r, n in KINDS]
    for _ in range(300):
        data = bytearray(files[rng.integers(len(files))])
        for place in rng.integers(0, min(len(data), 300), rng.integers(1, 8)):
            data[place] = rng.integers(256)
        with suppress(InvalidInputError):
            decoded(bytes(data))
