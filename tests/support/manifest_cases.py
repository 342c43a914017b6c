"""Manifests of all three kinds, right and wrong, of which it is known which is which without asking a model.

`cases()` is one fixed list; the strategies behind it serve property tests. A wrong manifest is a right one
with exactly one thing changed, so that nothing else can be why it is refused.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.support.manifest_mistakes import ABSENT, INPUT_NAMES, NO_INPUT, WRONG, put, shown
from tests.support.manifest_values import KINDS, Document, right

SEED = 20
RIGHTS = 150
UPDATES = 80


@dataclass(frozen=True)
class Case:
    """One manifest.

    Attributes:
        name: what is special about it.
        document: as it is sent.
        valid: whether it must be accepted.
    """

    name: str
    document: Document
    valid: bool

    @property
    def kind(self) -> str:
        """Of the manifest."""
        return str(self.document["kind"])


@dataclass(frozen=True)
class Update:
    """A session and a change to it."""

    name: str
    old: Document
    new: Document
    allowed: bool


def _wrong_cases() -> list[st.SearchStrategy[Case]]:
    single = [
        right(kind).map(
            lambda document, path=path, value=value: Case(
                f"{path}={shown(value)}", put(document, path, value), valid=False
            )
        )
        for kind, path, values in WRONG
        for value in values
    ]
    inputs = [
        right("AvatarSession").map(lambda document, rivals=rivals: _with_inputs(document, rivals))
        for rivals in NO_INPUT
    ]
    itself = right("AvatarSession").map(
        lambda document: Case(
            "continues itself",
            put(document, "spec.continueFrom", {"name": document["metadata"]["name"]}),
            valid=False,
        )
    )
    both = right("Avatar").map(
        lambda document: Case(
            "two sources",
            put(document, "spec.source", {"url": "https://e/a", "bundle": f"sha256:{'a' * 64}"}),
            valid=False,
        )
    )
    return [*single, *inputs, itself, both]


def _with_inputs(document: Document, inputs: Document) -> Case:
    changed = deepcopy(document)
    for name, value in inputs.items():
        changed["spec"].pop(name, None)
        if value is not ABSENT:
            changed["spec"][name] = value
    return Case(f"inputs {sorted(changed['spec'].keys() & set(INPUT_NAMES))}", changed, valid=False)


WRONG_CASES = _wrong_cases()
"""One strategy for each way to be wrong."""
RIGHT_CASES = st.one_of([right(kind) for kind in KINDS]).map(
    lambda document: Case("right", document, valid=True)
)
ALL_CASES = RIGHT_CASES | st.one_of(WRONG_CASES)


# Changes of a session.

_FIXED: tuple[tuple[str, list[Any]], ...] = (
    ("spec.prompt", ["something else"]),
    ("spec.text", ["something else"]),
    ("spec.audio", ["https://elsewhere.example/a.wav"]),
    ("spec.avatarRef", [{"name": "another-face"}]),
    ("spec.providerRef", [{"name": "another-provider"}]),
    ("spec.llm", [{"model": "another model"}]),
    ("spec.speech", [{"voice": "another voice"}]),
    ("spec.video", [{"profile": "fast", "height": 1234}]),
    ("spec.startTimeoutSeconds", [77_777]),
    ("spec.timeoutSeconds", [77_777]),
    ("spec.continueFrom", [{"name": "another-one"}]),
)
_FREE: tuple[tuple[str, list[Any]], ...] = (
    ("spec.videoTTLSeconds", [0, 1_234_567]),
    ("spec.ttlSecondsAfterFinished", [ABSENT, 0, 1_234_567]),
    ("spec.suspend", [False, True, ABSENT]),
    ("spec.cancel", [True]),
    ("spec.retry", [1000]),
    ("metadata.labels", [{"new": "label"}]),
)


def _updates() -> list[st.SearchStrategy[Update]]:
    sessions = right("AvatarSession")
    calm = sessions.map(lambda document: put(put(document, "spec.cancel", False), "spec.retry", 5))
    changes = [
        calm.map(
            lambda old, path=path, value=value, allowed=allowed: Update(
                f"{path}={shown(value)}", old, put(old, path, value), allowed
            )
        )
        for table, allowed in ((_FIXED, False), (_FREE, True))
        for path, values in table
        for value in values
    ]
    cancelled = sessions.map(lambda document: put(document, "spec.cancel", True))
    return [
        *changes,
        calm.map(lambda old: Update("nothing", old, deepcopy(old), allowed=True)),
        calm.map(lambda old: Update("retry falls", old, put(old, "spec.retry", 4), allowed=False)),
        calm.map(lambda old: Update("retry is dropped", old, put(old, "spec.retry", ABSENT), allowed=False)),
        cancelled.map(
            lambda old: Update("cancel is taken back", old, put(old, "spec.cancel", False), allowed=False)
        ),
        cancelled.map(
            lambda old: Update("cancel is dropped", old, put(old, "spec.cancel", ABSENT), allowed=False)
        ),
        calm.map(
            lambda old: Update(
                "empty llm", put(old, "spec.llm", ABSENT), put(old, "spec.llm", {}), allowed=True
            )
        ),
        calm.map(
            lambda old: Update(
                "defaults spelled out",
                put(old, "spec.speech", ABSENT),
                put(old, "spec.speech", {"speed": 1.0}),
                allowed=True,
            )
        ),
        calm.map(
            lambda old: Update(
                "a reference goes",
                put(old, "spec.avatarRef", {"name": "a"}),
                put(old, "spec.avatarRef", ABSENT),
                allowed=False,
            )
        ),
        calm.map(
            lambda old: Update(
                "the same rate in quotes",
                put(old, "spec.video", {"fps": 15}),
                put(old, "spec.video", {"fps": "15"}),
                allowed=False,
            )
        ),
    ]


UPDATE_CASES = _updates()


# One fixed list. Hypothesis also draws from constants of whatever modules are loaded, so it is made in a
# process of its own, where that is always the same.


@cache
def cases() -> tuple[Case, ...]:
    """The same manifests on every run: 150 right ones, and one for each of nearly 300 ways to be wrong."""
    return tuple(Case(**one) for one in _made_elsewhere()["cases"])


@cache
def updates() -> tuple[Update, ...]:
    """The same 80 changes on every run, each kind of change in turn."""
    return tuple(Update(**one) for one in _made_elsewhere()["updates"])


@cache
def _made_elsewhere() -> dict[str, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "tests.support.manifest_cases"]
    root = Path(__file__).parents[2]
    made = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(made.stdout)
    return found


def _make() -> dict[str, list[dict[str, Any]]]:
    rights = _drawn(RIGHT_CASES, RIGHTS, SEED)
    wrongs = [_drawn(strategy, 1, SEED + number)[0] for number, strategy in enumerate(WRONG_CASES)]
    changes = [UPDATE_CASES[number % len(UPDATE_CASES)] for number in range(UPDATES)]
    changed = [_drawn(strategy, 1, SEED + number)[0] for number, strategy in enumerate(changes)]
    return {"cases": [asdict(case) for case in rights + wrongs], "updates": [asdict(one) for one in changed]}


def as_yaml(document: Document) -> str:
    """JSON that YAML reads alike: what YAML would fold or refuse is escaped."""
    text = json.dumps(document, ensure_ascii=False)
    return re.sub(
        r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
        _escape,
        text,
    )


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _drawn(strategy: st.SearchStrategy[Any], count: int, start: int) -> list[Any]:
    """The last so many of what Hypothesis draws from this seed; its first are always the simplest."""
    found: list[Any] = []

    @seed(start)
    @settings(
        max_examples=count + 4,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(one: Any) -> None:
        found.append(one)

    draw()
    return _last_distinct(found, count)


def _last_distinct(found: Iterable[Any], count: int) -> list[Any]:
    distinct: list[Any] = []
    for one in found:
        if one not in distinct:
            distinct.append(one)
    return distinct[-count:]


if __name__ == "__main__":
    print(json.dumps(_make()))
