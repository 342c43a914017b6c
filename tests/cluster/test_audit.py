"""The audit log, read while it is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cluster.audit import read_audit_log

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def line(user: str, second: int, **more: Any) -> str:
    at = BEGAN + timedelta(seconds=second)
    event = {
        "user": {"username": user},
        "verb": "patch",
        "requestURI": "/apis/batch/v1/namespaces/here/jobs/hello/status?fieldManager=x",
        "objectRef": {"resource": "jobs", "subresource": "status", "namespace": "here", "name": "hello"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": at.isoformat().replace("+00:00", ".000000Z"),
        "stageTimestamp": (at + timedelta(milliseconds=250)).isoformat().replace("+00:00", "Z"),
        **more,
    }
    return json.dumps(event) + "\n"


def test_requests_are_read_by_user_and_from_a_moment_on(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("alice", 0) + line("bob", 1) + line("alice", 2))
    first, second = read_audit_log(log, "alice")
    assert (first.resource, first.name, first.code, first.seconds) == ("jobs/status", "hello", 200, 0.25)
    assert first.writes
    assert read_audit_log(log, "alice", BEGAN + timedelta(seconds=1)) == [second]
    assert len(read_audit_log(log)) == 3


def test_a_line_that_is_still_written_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("alice", 0) + line("alice", 1)[:-20])
    assert len(read_audit_log(log)) == 1
    assert read_audit_log(tmp_path / "absent.log") == []


def test_what_is_no_resource_goes_by_its_path(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("alice", 0, objectRef={}, requestURI="/version", verb="get"))
    (request,) = read_audit_log(log)
    assert (request.resource, request.writes) == ("/version", False)
