"""Fragmented MP4, written box by box (ISO/IEC 14496-12, -14 and -15).

Packets come from PyAV's encoders, boxes from here. FFmpeg's muxer would do for a file, but PyAV cannot tell
it to cut a fragment now, which a flush needs, and it makes the first fragment as long as the others.
Times are whole numbers in each track's timescale, so both tracks end where they should to the tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from struct import pack

VIDEO, SOUND = 1, 2
"""Track numbers."""
MOVIE_TIMESCALE = 1000
_MATRIX = pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_KEYFRAME, _DELTA = 0x02000000, 0x01010000
"""Sample flags: depends on no other sample; depends on others and is no place to start."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One coded picture or one block of coded sound.

    Attributes:
        start: decoding time, which is also the presentation time: there are no B-frames. In ticks, from 0.
        duration: in ticks.
        keyframe: decoding can begin here.
        data: with 4-byte lengths (H.264) or raw (AAC).
    """

    start: int
    duration: int
    keyframe: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """H.264 in BT.709 limited range, square pixels.

    Attributes:
        timescale: ticks per second.
        width, height: in pixels.
        sequence_parameters, picture_parameters: parameter sets without start codes.
    """

    timescale: int
    width: int
    height: int
    sequence_parameters: bytes
    picture_parameters: bytes


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """AAC-LC.

    Attributes:
        timescale: ticks per second, the sample rate.
        channels: 1 or 2.
        config: AudioSpecificConfig.
        bit_rate: bits per second, for information.
        priming: ticks of encoder delay at the start that a player must skip; an edit list says so when > 0.
    """

    timescale: int
    channels: int
    config: bytes
    bit_rate: int
    priming: int


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box: length, four-letter kind, content."""
    content = b"".join(parts)
    return pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box whose content begins with a version and 24 flags."""
    return box(kind, pack(">I", version << 24 | flags), *parts)


def init_segment(video: VideoTrack, sound: SoundTrack, metadata: Mapping[str, str]) -> bytes:
    """ftyp and moov: what a player must know before the first fragment."""
    header = pack(">IIII", 0, 0, MOVIE_TIMESCALE, 0) + pack(">IH10x", 0x10000, 0x100)
    movie = full_box(b"mvhd", 0, 0, header, _MATRIX, bytes(24), pack(">I", SOUND + 1))
    extends = box(b"mvex", *(full_box(b"trex", 0, 0, pack(">5I", t, 1, 0, 0, 0)) for t in (VIDEO, SOUND)))
    parts = [movie, _video_track(video), _sound_track(sound), extends]
    if metadata:
        parts.append(box(b"udta", _metadata(metadata)))
    return box(b"ftyp", b"iso5", pack(">I", 512), b"iso5iso6mp41") + box(b"moov", *parts)


def fragment(sequence: int, video: Sequence[Unit], sound: Sequence[Unit]) -> bytes:
    """One moof with its mdat. A track without units is left out.

    Args:
        sequence: counts up from 1.
        video, sound: units in order, each track without gaps.
    """
    runs = [(track, units) for track, units in ((VIDEO, video), (SOUND, sound)) if units]
    size = 8 + len(_movie_fragment(sequence, runs, 0))
    moof = _movie_fragment(sequence, runs, size)
    return moof + box(b"mdat", *(unit.data for _, units in runs for unit in units))


def _movie_fragment(sequence: int, runs: Iterable[tuple[int, Sequence[Unit]]], offset: int) -> bytes:
    """moof; `offset` is where the first byte of coded data lies, counted from the moof's start."""
    tracks = []
    for track, units in runs:
        tracks.append(_track_fragment(track, units, offset))
        offset += sum(len(unit.data) for unit in units)
    return box(b"moof", full_box(b"mfhd", 0, 0, pack(">I", sequence)), *tracks)


def _track_fragment(track: int, units: Sequence[Unit], offset: int) -> bytes:
    samples = (
        pack(">III", unit.duration, len(unit.data), _KEYFRAME if unit.keyframe else _DELTA) for unit in units
    )
    return box(
        b"traf",
        full_box(b"tfhd", 0, 0x020000, pack(">I", track)),  # data offsets count from the moof
        full_box(b"tfdt", 1, 0, pack(">Q", units[0].start)),
        full_box(b"trun", 0, 0x701, pack(">Ii", len(units), offset), *samples),
    )


def _video_track(video: VideoTrack) -> bytes:
    size = pack(">HH", video.width, video.height)
    resolution = pack(">II", 72 << 16, 72 << 16)
    entry = box(
        b"avc1",
        pack(">6xH16x", 1) + size + resolution + pack(">IH32xHh", 0, 1, 24, -1),
        _avc_config(video),
        box(b"colr", b"nclx", pack(">HHHB", 1, 1, 1, 0)),
        box(b"pasp", pack(">II", 1, 1)),
    )
    header = full_box(b"vmhd", 0, 1, bytes(8))
    return _track(VIDEO, video.timescale, b"vide", header, entry, (video.width, video.height), 0)


def _avc_config(video: VideoTrack) -> bytes:
    """AVCDecoderConfigurationRecord, 14496-15 5.3.3.1."""
    sps, pps = video.sequence_parameters, video.picture_parameters
    profile = sps[1]
    record = pack(">B3sBB", 1, sps[1:4], 0xFF, 0xE1) + pack(">H", len(sps)) + sps
    record += pack(">BH", 1, len(pps)) + pps
    if profile in (100, 110, 122, 144):  # High profiles: 4:2:0, 8 bits, no extensions
        record += bytes([0xFD, 0xF8, 0xF8, 0])
    return box(b"avcC", record)


def _sound_track(sound: SoundTrack) -> bytes:
    rate = pack(">I", sound.timescale << 16)
    entry = box(
        b"mp4a",
        pack(">6xH8x", 1) + pack(">HHHH", sound.channels, 16, 0, 0) + rate,
        _stream_description(sound),
    )
    return _track(
        SOUND, sound.timescale, b"soun", full_box(b"smhd", 0, 0, bytes(4)), entry, (0, 0), sound.priming
    )


def _stream_description(sound: SoundTrack) -> bytes:
    """esds: MPEG-4 descriptors, 14496-1 7.2.6; 0x40 is AAC, 0x15 a sound stream."""
    decoder = pack(">BB", 0x40, 0x15) + bytes(3) + pack(">II", sound.bit_rate, sound.bit_rate)
    config = _descriptor(4, decoder + _descriptor(5, sound.config))
    return full_box(b"esds", 0, 0, _descriptor(3, pack(">HB", SOUND, 0) + config + _descriptor(6, b"\x02")))


def _descriptor(tag: int, content: bytes) -> bytes:
    assert len(content) < 128, "longer descriptors need longer lengths"
    return bytes([tag, len(content)]) + content


def _track(
    number: int,
    timescale: int,
    handler: bytes,
    header: bytes,
    entry: bytes,
    size: tuple[int, int],
    priming: int,
) -> bytes:
    volume = 0x100 if handler == b"soun" else 0
    place = pack(">8xhhHH", 0, 0, volume, 0) + _MATRIX + pack(">II", size[0] << 16, size[1] << 16)
    track = full_box(b"tkhd", 0, 3, pack(">IIIII", 0, 0, number, 0, 0), place)
    edits = [box(b"edts", full_box(b"elst", 0, 0, pack(">IIiI", 1, 0, priming, 0x10000)))] if priming else []
    reference = box(b"dinf", full_box(b"dref", 0, 0, pack(">I", 1), full_box(b"url ", 0, 1)))
    tables = [full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    sizes = full_box(b"stsz", 0, 0, bytes(8))
    described = full_box(b"stsd", 0, 0, pack(">I", 1), entry)
    media = box(
        b"mdia",
        full_box(b"mdhd", 0, 0, pack(">IIIIHH", 0, 0, timescale, 0, 0x55C4, 0)),  # language "und"
        full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"\0"),
        box(b"minf", header, reference, box(b"stbl", described, *tables, sizes)),
    )
    return box(b"trak", track, *edits, media)


def _metadata(metadata: Mapping[str, str]) -> bytes:
    """Any names and values, as `mdta` keys (QuickTime File Format, "Metadata")."""
    names = [key.encode() for key in metadata]
    keys = b"".join(pack(">I4s", 8 + len(name), b"mdta") + name for name in names)
    values = b"".join(
        box(pack(">I", number), box(b"data", pack(">II", 1, 0), value.encode()))  # 1: UTF-8
        for number, value in enumerate(metadata.values(), 1)
    )
    handler = full_box(b"hdlr", 0, 0, bytes(4), b"mdta", bytes(12), b"\0")
    return full_box(
        b"meta", 0, 0, handler, full_box(b"keys", 0, 0, pack(">I", len(names)), keys), box(b"ilst", values)
    )
