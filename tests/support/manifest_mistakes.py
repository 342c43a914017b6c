"""Ways to be wrong: the kind, the field, and what must not stand there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.support.manifest_values import Document

ABSENT = object()
"""The value of a field that is to be taken away."""

_CONTROLS = ["a\x00b", "\x07", "a\x1b[31m", "a\x7f", "a\x9fb", "\x85"]
_BLANKS = ["", " ", "\n\t", "\u00a0\u3000"]
_NO_TEXT: list[Any] = [7, True, ["a"], {"a": "b"}]
_NO_INT: list[Any] = ["2", 1.5, True]
_NO_HTTPS = [
    "http://example.com/a",
    "file:///etc/passwd",
    "HTTPS://example.com/a",
    "welcome.wav",
    "https://",
    "https://user:secret@example.com/a",
    "https://example.com/a#t=1",
    "https://example.com/a b",
    "https://exämple.com/",
    "https://example.com\n/",
    "https://example.com:123456/",
    "https://e/" + "a" * 2039,
]
_NO_BASE = [
    "ftp://e",
    "e:80",
    "http://u:p@e",
    "http://e?k=1",
    "http://e/#",
    "https:///v1",
    "",
    "http://e/" + "a" * 2040,
]
_NO_RATE: list[Any] = [
    *[11, 31, 0, -15, 29.97, 2**31, True, [15]],
    *[
        "",
        "11.9999",
        "30.0001",
        "29.97003",
        "abc",
        "15/0",
        "0/15",
        "1e1",
        " 15",
        "15 ",
        "+15",
        "15.",
        "1_5",
        "015",
    ],
    *["359/30", "901/30", "15/1/1", "-30/-2", "1000000/50000", "NaN", "0x0f", "²5", "15\n", "1" * 33],
]
_NO_NAME: list[Any] = ["", "A", "a_b", "-a", "a-", "a..b", "a/b", "a" * 254, 7]

WRONG: tuple[tuple[str, str, list[Any]], ...] = (
    ("AvatarSession", "spec", [ABSENT, None, "text", []]),
    ("AvatarSession", "spec.prompt", [*_BLANKS, *_CONTROLS, *_NO_TEXT, "a" * 8193, "é" * 4097, "😀" * 2049]),
    (
        "AvatarSession",
        "spec.text",
        [*_BLANKS, *_CONTROLS, *_NO_TEXT, "a" * 16385, "é" * 8193, "x" * 1_000_000],
    ),
    ("AvatarSession", "spec.audio", [*_NO_HTTPS, "", 7]),
    ("AvatarSession", "spec.avatarRef.name", [ABSENT, None, *_NO_NAME]),
    ("AvatarSession", "spec.avatarRef", ["ava", []]),
    ("AvatarSession", "spec.providerRef.namespace", ["other"]),
    ("AvatarSession", "spec.llm", ["gpt", 7]),
    ("AvatarSession", "spec.llm.model", ["", "a\nb", "a\x00", "a" * 254, 7]),
    ("AvatarSession", "spec.llm.maxTokens", [0, -1, 4097, 2**63, *_NO_INT]),
    ("AvatarSession", "spec.llm.temperature", [-0.1, 2.1, "1", True]),
    ("AvatarSession", "spec.llm.systemPrompt", ["a" * 8193, "a\x07", 7]),
    ("AvatarSession", "spec.llm.max_tokens", [100]),
    ("AvatarSession", "spec.speech.voice", ["", "a\x1b", "a" * 254, True]),
    ("AvatarSession", "spec.speech.speed", [0.24, 4.01, 0, -1, "1", False]),
    ("AvatarSession", "spec.video.profile", ["", "Fast", "best", 1]),
    ("AvatarSession", "spec.video.fps", _NO_RATE),
    ("AvatarSession", "spec.video.batchSize", [0, 5, -1, 2**40, *_NO_INT]),
    ("AvatarSession", "spec.video.height", [0, 126, 131, 2162, "256", 256.5]),
    ("AvatarSession", "spec.video.fsp", [15]),
    ("AvatarSession", "spec.startTimeoutSeconds", [0, 86_401, "60"]),
    ("AvatarSession", "spec.timeoutSeconds", [0, -5, 86_401, "120", 0.5]),
    ("AvatarSession", "spec.videoTTLSeconds", [-1, 2_592_001, "1h"]),
    ("AvatarSession", "spec.ttlSecondsAfterFinished", [-1, 2_592_001, False]),
    ("AvatarSession", "spec.suspend", ["true", 1, "yes"]),
    ("AvatarSession", "spec.cancel", [0, "no"]),
    ("AvatarSession", "spec.retry", [-1, 1001, *_NO_INT]),
    ("AvatarSession", "spec.continueFrom", ["earlier"]),
    ("AvatarSession", "spec.image", ["evil:latest"]),
    ("AvatarSession", "speck", [{}]),
    ("AvatarSession", "metadata.name", ["a" * 53, "a.b", *_NO_NAME]),
    ("AvatarSession", "metadata.labels", [{"a": "-"}, {"a b": ""}, {"a": "1" * 64}, {"/a": ""}]),
    ("AvatarSession", "metadata.lables", [{"a": "b"}]),
    ("AvatarProvider", "spec", [ABSENT, []]),
    ("AvatarProvider", "spec.llm", [{}, {"baseURL": "http://e"}, "gpt"]),
    ("AvatarProvider", "spec.llm.baseURL", _NO_BASE),
    ("AvatarProvider", "spec.llm.apiKey", ["sk-secret"]),
    ("AvatarProvider", "spec.speech.baseURL", _NO_BASE),
    ("AvatarProvider", "spec.speech.type", ["", "festival", "Espeak"]),
    ("AvatarProvider", "spec.speech.model", ["", "a\n"]),
    (
        "AvatarProvider",
        "spec.speech.apiKeySecretRef",
        [{}, {"key": ""}, {"key": "a/b"}, {"key": "a\n"}, "KEY"],
    ),
    ("AvatarProvider", "metadata.name", _NO_NAME),
    ("Avatar", "spec", [ABSENT, {}]),
    ("Avatar", "spec.source", [{}, "https://e/a", {"sha256": "a" * 64}]),
    ("Avatar", "spec.source.url", [*_NO_HTTPS, "", 7]),
    ("Avatar", "spec.source.bundle", ["ava", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "a" * 71]),
    ("Avatar", "spec.source.path", ["/etc/passwd"]),
    ("Avatar", "spec.face.index", [0, 17, *_NO_INT]),
    ("Avatar", "spec.face.box", [{}, {"left": 0, "top": 0, "width": 63, "height": 64}, [0, 0, 64, 64]]),
    ("Avatar", "spec.motion.fps", [4, 61, 29.97, "25"]),
    ("Avatar", "spec.motion.sideMax", [127, 4097]),
    ("Avatar", "spec.repaint.mask", ["", "chin"]),
    ("Avatar", "spec.repaint.cheeks", [{"left": 257}, {"right": -1}, 90]),
    ("Avatar", "spec.repaint.margin", [-1, 401]),
    ("Avatar", "spec.repaint.shift", [-401, 401]),
)
INPUT_NAMES = ("prompt", "text", "audio")
_SOURCE_NAMES = ("url", "bundle", "sha256")
NO_INPUT: tuple[Document, ...] = (
    dict.fromkeys(INPUT_NAMES, ABSENT),
    {"prompt": "a", "text": "b", "audio": ABSENT},
    {"prompt": "a", "text": ABSENT, "audio": "https://e/a"},
    {"prompt": "a", "text": "b", "audio": "https://e/a"},
)


_NEEDED: dict[str, Document] = {"llm": {"model": "m"}, "providerRef": {"name": "p"}}
"""What a new parent can't do without, so that only one thing is wrong."""


def put(document: Document, path: str, value: Any) -> Document:
    """A copy in which the field at `path` has the value; its rivals make room."""
    changed = deepcopy(document)
    *parents, last = path.split(".")
    place = changed
    for part in parents:
        place = place.setdefault(part, dict(_NEEDED.get(part, {})))
    rivals = INPUT_NAMES if last in INPUT_NAMES else _SOURCE_NAMES if last in _SOURCE_NAMES else ()
    for rival in rivals:
        place.pop(rival, None)
    place.pop(last, None)
    if value is not ABSENT:
        place[last] = value
    return changed


def shown(value: Any) -> str:
    """For the name of a case."""
    return "absent" if value is ABSENT else ascii(value)[:40]
