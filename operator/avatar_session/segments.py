"""A render's fragments gathered into segments that a player can begin at. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_inference.client import Video

SEGMENT_SECONDS = 0.9
"""A keyframe after so long begins a new segment; they come about once a second."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """An init segment: the video begins anew."""

    codecs: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Media:
    """Whole fragments, the first of which begins with a keyframe; `seconds` of video."""

    seconds: float
    data: bytes


class Cutter:
    """Takes pieces of video as they come, gives segments as they are whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._seconds = 0.0

    def take(self, video: Video) -> list[Beginning | Media]:
        """What is whole now that this piece has come."""
        if video.kind == "init":
            self._parts, self._seconds = [], 0.0
            return [Beginning(codecs_of(video.data), video.data)]
        whole = self.rest() if video.starts_with_keyframe and self._seconds >= SEGMENT_SECONDS else []
        self._parts.append(video.data)
        self._seconds += video.duration
        return whole

    def rest(self) -> list[Beginning | Media]:
        """What has come since the last segment; a keyframe must follow."""
        found: list[Beginning | Media] = []
        if self._seconds > 0:
            found.append(Media(self._seconds, b"".join(self._parts)))
            self._parts, self._seconds = [], 0.0
        return found


def codecs_of(init: bytes) -> str:
    """Of an init segment with H.264 and AAC-LC, as in a MIME type (RFC 6381)."""
    at = init.index(b"avcC") + 5  # after the version: profile, compatibility, level
    return f"avc1.{init[at : at + 3].hex()},mp4a.40.2"
