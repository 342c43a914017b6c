"""Rules that plain schema keywords can't say: each one as CEL for the API server, with its twin in Python.

A `Rule` is a pydantic annotation. The models enforce the twin, the CRDs carry the CEL, and both show the same
message, so a file, an object and a schema can't disagree. Regular expressions keep to what RE2, Rust and
Python read alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from avatar_core import limits

VALIDATIONS = "x-kubernetes-validations"


class Place(StrEnum):
    """Where a resource is going to be used; a cluster's pod can't read a file of a laptop."""

    LAPTOP = "laptop"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Rule:
    """One validation rule.

    Attributes:
        cel: the rule as the API server evaluates it.
        message: what is allowed and why; shown by the API server and by us.
        holds: the twin: of the value, or of (new, old) for a transition rule.
        field: what the rule is about, seen from where it stands, such as "metadata.name".
        transition: compares with the object as it was, so a file alone can't break it.
        cluster_only: does not hold for `Place.LAPTOP`.
    """

    cel: str
    message: str
    holds: Callable[..., bool]
    field: str = ""
    transition: bool = False
    cluster_only: bool = False

    def check(self, value: Any, info: ValidationInfo) -> Any:
        """The value. Raises pydantic's error of type "rule" when the rule is broken."""
        passed_by = self.transition or (self.cluster_only and info.context is not Place.CLUSTER)
        if not passed_by and not self.holds(value):
            raise PydanticCustomError("rule", "{text}", {"text": self.message, "field": self.field})
        return value

    def as_schema(self) -> dict[str, str]:
        """The rule as an entry of `x-kubernetes-validations`."""
        schema = {"rule": self.cel, "message": self.message}
        return schema | ({"fieldPath": f".{self.field}"} if self.field else {})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), VALIDATIONS: [self.as_schema()]}


_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
_HOST = r"([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_HTTPS = rf'https://{_HOST}([/?][!"$-~]*)?'
_BASE_URL = rf'https?://{_HOST}(/[!"$->@-~]*)?'
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DECIMAL_RATE = r"[1-9][0-9](\.[0-9]{1,4})?"
_FRACTION_RATE = r"[1-9][0-9]{0,5}/[1-9][0-9]{0,5}"


def _whole_match(pattern: str, operand: str = "self") -> str:
    return f"{operand}.matches(r'^({pattern})$')"


def _spoken(limit: int) -> Callable[[str], bool]:
    """Twin of `_spoken_cel`."""

    def holds(value: str) -> bool:
        # \p{Z} of RE2, which Python's expressions can't say.
        visible = any(c not in "\t\n\r" and not unicodedata.category(c).startswith("Z") for c in value)
        return len(value.encode()) <= limit and visible and not re.search(_CONTROLS, value)

    return holds


def _spoken_cel(limit: int) -> str:
    return (
        rf"size(bytes(self)) <= {limit} && self.matches(r'[^\t\n\r\p{{Z}}]')"
        f" && !self.matches(r'{_CONTROLS}')"
    )


_NUMERATOR, _DENOMINATOR = "int(self.split('/')[0])", "int(self.split('/')[1])"


def _between(rate: str, unit: str = "") -> str:
    return f"{rate} >= {limits.FPS_MIN}{unit} && {rate} <= {limits.FPS_MAX}{unit}"


def _is_rate(value: int | str) -> bool:
    if isinstance(value, str) and not re.fullmatch(f"{_DECIMAL_RATE}|{_FRACTION_RATE}", value):
        return False
    return limits.FPS_MIN <= Fraction(value) <= limits.FPS_MAX


def _one_of(spec: Any, names: tuple[str, ...]) -> bool:
    return sum(getattr(spec, name) is not None for name in names) == 1


def _one_source(source: Any) -> bool:
    return _one_of(source, ("url", "bundle")) and not (source.bundle and source.sha256)


def _continues_another(session: Any) -> bool:
    earlier = session.spec.continue_from
    return earlier is None or earlier.name != session.metadata.name


def _fixed(fields: tuple[str, ...]) -> str:
    """CEL: each field is there or not, as it was, and equal."""
    return " && ".join(
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name in fields
    )


FIXED = (
    "prompt",
    "text",
    "audio",
    "avatarRef",
    "providerRef",
    "llm",
    "speech",
    "video",
    "startTimeoutSeconds",
    "timeoutSeconds",
    "continueFrom",
)
"""Fields of a session's spec that stay as they were when it was created."""
_FIXED_ATTRIBUTES = [re.sub(r"([A-Z])", lambda upper: f"_{upper[0].lower()}", name) for name in FIXED]

_TEXT_RULE = (
    "must be 1 to {limit} bytes of UTF-8, not blank, and without control characters but tabs and line breaks"
)

SESSION_NAME = Rule(
    f"size(self.metadata.name) <= {limits.SESSION_NAME_MAX} && {_whole_match(_LABEL, 'self.metadata.name')}",
    f"must be at most {limits.SESSION_NAME_MAX} lowercase letters, digits and '-', and begin and end with a "
    "letter or digit: file names, labels and host names are made of it",
    lambda session: (
        len(session.metadata.name) <= limits.SESSION_NAME_MAX
        and bool(re.fullmatch(_LABEL, session.metadata.name))
    ),
    field="metadata.name",
)
CONTINUES_ANOTHER = Rule(
    "!has(self.spec.continueFrom) || self.spec.continueFrom.name != self.metadata.name",
    "must name another, earlier session: a session that continues itself would wait for its own end",
    _continues_another,
    field="spec.continueFrom.name",
)
ONE_INPUT = Rule(
    "[has(self.prompt), has(self.text), has(self.audio)].filter(given, given).size() == 1",
    "exactly one of prompt, text and audio must be set: a prompt is answered by an LLM, a text is spoken as "
    "it is, audio moves the lips",
    lambda spec: _one_of(spec, ("prompt", "text", "audio")),
)
IMMUTABLE = Rule(
    _fixed(FIXED),
    "only suspend, cancel, retry, videoTTLSeconds and ttlSecondsAfterFinished may change after creation, or "
    "the video would not be what the spec says: create another session",
    lambda new, old: all(getattr(new, name) == getattr(old, name) for name in _FIXED_ATTRIBUTES),
    transition=True,
)
CANCEL_STAYS = Rule(
    "!oldSelf.cancel || self.cancel",
    "can't be taken back, since the pod is gone: create another session; to pause, use suspend",
    lambda new, old: new.cancel or not old.cancel,
    field="cancel",
    transition=True,
)
RETRY_GROWS = Rule(
    "self.retry >= oldSelf.retry",
    "may only grow, each step is one more attempt: add 1 to what it is",
    lambda new, old: new.retry >= old.retry,
    field="retry",
    transition=True,
)
PROMPT = Rule(
    _spoken_cel(limits.PROMPT_BYTES_MAX),
    f"{_TEXT_RULE.format(limit=limits.PROMPT_BYTES_MAX)}: it is one turn of a conversation with an LLM",
    _spoken(limits.PROMPT_BYTES_MAX),
)
TEXT = Rule(
    _spoken_cel(limits.TEXT_BYTES_MAX),
    f"{_TEXT_RULE.format(limit=limits.TEXT_BYTES_MAX)}: every word of it is spoken",
    _spoken(limits.TEXT_BYTES_MAX),
)
HTTPS = Rule(
    _whole_match(_HTTPS),
    "must be an https:// address of printable ASCII without user, password or fragment: the cluster fetches "
    "it, reads no files of yours, and must get it unchanged",
    lambda value: bool(re.fullmatch(_HTTPS, value)),
)
AUDIO = Rule(HTTPS.cel, HTTPS.message, HTTPS.holds, cluster_only=True)
BASE_URL = Rule(
    _whole_match(_BASE_URL),
    "must be an http:// or https:// address of printable ASCII without user, password, query or fragment: "
    "keys belong into apiKeySecretRef, and paths are added to its end",
    lambda value: bool(re.fullmatch(_BASE_URL, value)),
)
FPS = Rule(
    f"type(self) == int ? {_between('self')}"
    f" : {_whole_match(_DECIMAL_RATE)} ? {_between('double(self)', unit='.0')}"
    f" : {_whole_match(_FRACTION_RATE)}"
    f" && {_between(_NUMERATOR, unit=f' * {_DENOMINATOR}')}",
    f"must be {limits.FPS_MIN} to {limits.FPS_MAX} frames per second, as a whole number, or in quotes as "
    f"'29.97' (at most 4 decimals) or '30000/1001': below {limits.FPS_MIN} lips no longer look as if they "
    f"spoke, above {limits.FPS_MAX} nothing is gained",
    _is_rate,
)
BATCH_SIZE = Rule(
    f"self >= {limits.BATCH_MIN} && self <= {limits.BATCH_MAX}",
    f"must be {limits.BATCH_MIN} to {limits.BATCH_MAX} frames a step: above {limits.BATCH_MAX} small cards "
    "run out of memory, and the server fills idle places anyway",
    lambda value: limits.BATCH_MIN <= value <= limits.BATCH_MAX,
)
ONE_SOURCE = Rule(
    "has(self.url) ? !has(self.bundle) : has(self.bundle) && !has(self.sha256)",
    "exactly one of url and bundle must be set, and sha256 only beside url: a bundle's id is its hash",
    _one_source,
)


def refused_changes(old: Any, new: Any) -> list[Rule]:
    """The transition rules that an update from `old` to `new` breaks (specs of the same kind)."""
    return [rule for rule in new.RULES if rule.transition and not rule.holds(new, old)]
