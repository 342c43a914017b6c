"""What users asked of the API server, as its audit log tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request.

    Attributes:
        resource: "pods", or "pods/status" with a subresource; the path for what is no resource.
        name: empty for a list or a watch.
        code: HTTP status of the answer.
        seconds: from its arrival to its answer; a watch is logged at its end.
    """

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    at: datetime
    seconds: float
    agent: str

    @property
    def writes(self) -> bool:
        """Whether it asked to change something, granted or not."""
        return self.verb in WRITES


def read_audit_log(path: Path, user: str | None = None, since: datetime | None = None) -> list[Request]:
    """Requests in the order of their answers, of one user only and from a moment on if given."""
    if not path.exists():
        return []
    found = (_request(event) for event in _events(path))
    return [
        request
        for request in found
        if (user is None or request.user == user) and (since is None or request.at >= since)
    ]


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):  # the last one may still be written
                yield json.loads(line)


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    parts = (about.get("resource"), about.get("subresource"))
    at = _moment(event["requestReceivedTimestamp"])
    return Request(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        resource="/".join(part for part in parts if part) or event["requestURI"],
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        at=at,
        seconds=(_moment(event["stageTimestamp"]) - at).total_seconds(),
        agent=event.get("userAgent", ""),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
