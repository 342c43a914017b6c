"""What a person should know about a source: errors that stop its preparation, findings that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import FACE_SIDE_MIN
from avatar_inference.engine import Finding
from avatar_inference.source.faces import no_face, several_faces, too_small
from avatar_inference.source.scan import Look, Scan, big_enough

_SMALL = 2 * FACE_SIDE_MIN
_BLURRED = 0.02
_OFTEN = 1 / 3
"""Several faces in more of the looks than this are no mistake of the finder."""
_LISTED = 16
"""More findings of one kind are told as one."""


def check_scan(scan: Scan[Any], face_index: int, scale: float) -> None:
    """Refuses a source that cannot be made to speak.

    Raises:
        InvalidInputError: NoFace, FaceTooSmall, SeveralFaces (unless one was chosen), InvalidArgument when
            there are fewer faces than the one chosen.
    """
    seen = [look for look in scan.looks if big_enough(look.faces)]
    if not seen:
        small = [face.width for look in scan.looks for face in look.faces]
        raise too_small(max(small)) if small else no_face()
    crowded = [look for look in seen if len(big_enough(look.faces)) > 1]
    if face_index == 0 and len(crowded) > _OFTEN * len(seen):
        raise several_faces(big_enough(crowded[0].faces), scale)
    if not any(look.face for look in seen):
        most = max(len(big_enough(look.faces)) for look in seen)
        raise InvalidInputError(
            Reason.INVALID_ARGUMENT,
            f"face {face_index} was asked for, but at most {most} can be seen at once; choose 1 to {most}",
            field="face_index",
        )


def find_findings(scan: Scan[Any], present: Sequence[bool], face_index: int) -> tuple[Finding, ...]:
    """What should be known about a source that can be made to speak, by first picture.

    Reasons: NoFace, SeveralFaces, SmallFace, Blurred, HardCut.

    Args:
        scan: what was seen.
        present: whether each picture has a face that speaks.
        face_index: which face was asked for; 0 for none.
    """
    found = [*_without_face(present), *_hard_cuts(scan)]
    for reason, advice, concerns in _LOOKED_FOR:
        if reason == Reason.SEVERAL_FACES and face_index > 0:
            continue
        runs = _runs(scan.looks, concerns)
        found += stretches(reason, advice, [(looks[0].picture, looks[-1].picture) for looks in runs])
    return by_picture(found)


def by_picture(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order in which a person meets them."""
    return tuple(sorted(found, key=lambda finding: (finding.first_picture, finding.reason)))


def stretches(reason: str, advice: str, runs: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """One finding for each stretch of pictures; a single one where there are too many to read.

    Args:
        reason: typed name.
        advice: what is the matter and what to do.
        runs: first and last picture of each stretch, ascending.
    """
    if len(runs) > _LISTED:
        first, last = runs[0][0], runs[-1][1]
        message = f"{len(runs)} stretches in {_pictures(first, last)}: {advice}"
        yield Finding(str(reason), message, first, last)
        return
    for first, last in runs:
        yield Finding(str(reason), f"{_pictures(first, last)}: {advice}", first, last)


def _is_small(look: Look[Any]) -> bool:
    return look.face is not None and look.face.width < _SMALL


def _is_blurred(look: Look[Any]) -> bool:
    return look.face is not None and look.sharpness < _BLURRED


def _is_crowded(look: Look[Any]) -> bool:
    return len(big_enough(look.faces)) > 1


_LOOKED_FOR: tuple[tuple[str, str, Callable[[Look[Any]], bool]], ...] = (
    (Reason.SEVERAL_FACES, "several faces are seen; the one of the pictures before speaks", _is_crowded),
    ("SmallFace", f"the face is less than {_SMALL} pixels wide; a closer picture looks better", _is_small),
    ("Blurred", "the face is blurred; a sharper picture looks better", _is_blurred),
)


def _runs(looks: Iterable[Look[Any]], concerns: Callable[[Look[Any]], bool]) -> list[list[Look[Any]]]:
    """Unbroken runs of looks that are concerned."""
    return [list(run) for concerned, run in groupby(looks, concerns) if concerned]


def _without_face(present: Sequence[bool]) -> Iterator[Finding]:
    runs = []
    for seen, run in groupby(enumerate(present), lambda numbered: numbered[1]):
        if not seen:
            numbers = [number for number, _ in run]
            runs.append((numbers[0], numbers[-1]))
    return stretches(Reason.NO_FACE, "no face is seen; they are shown as they are", runs)


def _hard_cuts(scan: Scan[Any]) -> Iterator[Finding]:
    if len(scan.cuts) > _LISTED:
        message = f"{len(scan.cuts)} hard cuts; one shot, played forth and back, looks calmer"
        yield Finding("HardCut", message, scan.cuts[0], scan.cuts[-1])
        return
    for cut in scan.cuts:
        message = (
            f"a hard cut at {scan.times_us[cut] / 1e6:.2f} s; one shot, played forth and back, looks calmer"
        )
        yield Finding("HardCut", message, cut, cut)


def _pictures(first: int, last: int) -> str:
    return f"picture {first}" if first == last else f"pictures {first} to {last}"
