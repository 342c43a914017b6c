"""Where a session's objects are in the store of a cluster: below `<namespace>/<uid>/`. Pure."""

from __future__ import annotations

import re

NAMESPACE = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VIDEO, RESULT = "video.mp4", "result.json"
REPLY, SPEECH, SOUND = "reply.json", "speech.json", "speech.pcm"
"""What attempts keep for later ones: the reply, facts of the speech, the speech itself."""
WATCH = "watch.json"
"""Which pieces there are of a video that is being drawn; see `watch_init` and `watch_segment`."""
OBJECTS = (VIDEO, RESULT, REPLY, SPEECH, SOUND, WATCH)
"""All that is in a session's folder, but for the pieces."""
GENERATIONS_MAX, SEGMENTS_MAX = 1000, 10_000
"""Generations that one pod begins, and segments of a generation: an hour has 3600."""
PIECE = r"watch-(0|[1-9][0-9]{0,15})-(init\.mp4|(0|[1-9][0-9]{0,3})\.m4s)"
"""Names of pieces."""
BUNDLES = "_bundles"
"""The folder of prepared avatars; no namespace is called so."""
BUNDLE_MANIFEST = "manifest.json"
BUNDLE_FILES = ("pictures.mkv", "arrays.safetensors")
"""What is in a bundle's folder, `_bundles/<SHA-256 of its manifest>/`."""
_BUNDLE = re.compile(f"{BUNDLES}/(?P<digest>[0-9a-f]{{64}})")
_FOLDER = re.compile(f"{NAMESPACE}/(?P<uid>{UID})")


def session_uid(folder: str) -> str | None:
    """Uid of the session whose folder this is; None for any other text."""
    found = _FOLDER.fullmatch(folder)
    return found["uid"] if found else None


def bundle_of(folder: str) -> str | None:
    """Id of the bundle whose folder this is; None for any other text."""
    found = _BUNDLE.fullmatch(folder)
    return f"sha256:{found['digest']}" if found else None


def watch_init(generation: int) -> str:
    """Name of the init segment with which a drawing of the video begins; each drawing is a generation."""
    return f"watch-{generation}-init.mp4"


def watch_segment(generation: int, number: int) -> str:
    """Name of a media segment."""
    return f"watch-{generation}-{number}.m4s"
