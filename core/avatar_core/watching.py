"""What can be watched of a video that is still being drawn: the index that a session's pod keeps. Pure.

Each drawing of the video is a generation: an init segment and media segments of about a second, each of which
begins with a keyframe. A later generation begins the video anew.

Two pods of a session may live at once, when a node is lost that goes on all the same. Each numbers its
generations in a range of its own, so neither writes the other's pieces; who began first gives up the index
to who came after, so a viewer follows one of them.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any

from avatar_core.folders import GENERATIONS_MAX, PIECE, watch_init, watch_segment

INDEX_BYTES_MAX = 1024 * 1024
SEGMENTS_KEPT = 4000
"""In an index; an hour has 3600. Where there are more, the oldest generations are left out."""
_PIECE = re.compile(PIECE)
_CODECS = re.compile(r"[A-Za-z0-9.,]{1,64}")
_VERSION = 1
_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A media segment: its name in the session's folder, and how long it is."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Generation:
    """One drawing.

    Attributes:
        init: name of the init segment.
        segments: from the start of the video.
    """

    init: str
    segments: tuple[Segment, ...] = ()

    @property
    def number(self) -> int:
        """Later ones have higher numbers."""
        return int(self.init.split("-")[1])

    @property
    def pod(self) -> int:
        """Which pod began it, by the time it came; see `first_number`."""
        return self.number // GENERATIONS_MAX


@dataclass(frozen=True, slots=True)
class WatchIndex:
    """All that can be watched.

    Attributes:
        codecs: of every generation, as in a MIME type.
        ended: nothing will be added.
        generations: the last one is the video; earlier ones broke off.
    """

    codecs: str = ""
    ended: bool = False
    generations: tuple[Generation, ...] = ()

    def begun(self, number: int, codecs: str) -> WatchIndex:
        """With a new generation of this number."""
        kept = (*self.generations, Generation(watch_init(number)))
        return WatchIndex(codecs, ended=False, generations=kept)

    def grown(self, number: int, seconds: float) -> WatchIndex:
        """With another segment of its last generation, whose number that is."""
        *earlier, last = self.generations
        segment = Segment(watch_segment(number, len(last.segments)), round(seconds, 6))
        last = replace(last, segments=(*last.segments, segment))
        return replace(self, generations=_bounded((*earlier, last)))

    def after(self, stored: WatchIndex) -> WatchIndex | None:
        """This pod's own index, together with what was stored by others.

        Args:
            stored: as it is there now; what it holds of this pod is older than this.

        Returns:
            What is to be stored; None when a pod that came later is there: it has taken over.
        """
        own = self.generations[-1].pod
        if stored.generations and stored.generations[-1].pod > own:
            return None
        others = tuple(each for each in stored.generations if each.pod < own)
        return replace(self, generations=_bounded((*others, *self.generations)))

    def to_json(self) -> bytes:
        """As it is stored."""
        generations = [
            {"init": each.init, "segments": [{"name": s.name, "seconds": s.seconds} for s in each.segments]}
            for each in self.generations
        ]
        told = {"version": _VERSION, "codecs": self.codecs, "ended": self.ended, "generations": generations}
        return json.dumps(told, separators=(",", ":")).encode()


def first_number(stored: WatchIndex, now: float) -> int:
    """Of the generations of a pod that has just come: the milliseconds of now, and three digits to count.

    Args:
        stored: by pods before it; its number is higher, whatever their clocks said.
        now: Unix seconds.
    """
    latest = stored.generations[-1].pod if stored.generations else 0
    return max(int(now * 1000), latest + 1) * GENERATIONS_MAX


def read_index(data: bytes) -> WatchIndex:
    """What `to_json` wrote.

    Raises:
        ValueError: it is none, or names something else than pieces.
    """
    if len(data) > INDEX_BYTES_MAX:
        raise ValueError("the index is too large")
    try:
        told = json.loads(data)
        if told["version"] != _VERSION or not isinstance(told["ended"], bool):
            raise ValueError("the index is of another version")
        generations = tuple(map(_generation, told["generations"]))
        if generations and not _CODECS.fullmatch(told["codecs"]):
            raise ValueError("the index names no codecs")
        return WatchIndex(str(told["codecs"]), told["ended"], generations)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is no index: {error!r}") from None


def playlist(index: WatchIndex) -> str:
    """The index as an HLS media playlist (RFC 8216); a player asks for it again until it has ended."""
    begun = [each for each in index.generations if each.segments]
    longest = max((s.seconds for each in begun for s in each.segments), default=1.0)
    lines = [
        *("#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(1, math.floor(longest + 0.5))}"),
        *("#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-INDEPENDENT-SEGMENTS"),
    ]
    for number, each in enumerate(begun):
        if number:
            lines.append("#EXT-X-DISCONTINUITY")
        lines.append(f'#EXT-X-MAP:URI="{each.init}"')
        for segment in each.segments:
            lines += [f"#EXTINF:{segment.seconds:.6f},", segment.name]
    if index.ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _bounded(generations: tuple[Generation, ...]) -> tuple[Generation, ...]:
    """Without the oldest ones where there are too many segments."""
    while len(generations) > 1 and sum(len(each.segments) for each in generations) > SEGMENTS_KEPT:
        generations = generations[1:]
    return generations


def _generation(told: dict[str, Any]) -> Generation:
    segments = tuple(Segment(_piece(each["name"]), _length(each["seconds"])) for each in told["segments"])
    return Generation(_piece(told["init"]), segments)


def _piece(name: object) -> str:
    if not isinstance(name, str) or not _PIECE.fullmatch(name):
        raise ValueError("the index names something that is no piece")
    return name


def _length(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _SECONDS_MAX:
        raise ValueError(f"a segment must last up to {_SECONDS_MAX:g} s")
    return float(seconds)
