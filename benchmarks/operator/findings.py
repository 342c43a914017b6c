"""From what was sent and what the audit log tells to numbers. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.operator.load import Sent
from benchmarks.operator.meters import Sample
from tests.cluster import Request

from avatar_operator.names import job_name


def jobs_made(sent: Sequence[Sent], asked: Sequence[Request]) -> dict[str, float]:
    """When the API server had made the first Job of each session, by the session's name; Unix seconds.

    Raises:
        LookupError: a session has no Job, or a Job was made twice.
    """
    names = {job_name(one.uid, 1): one.name for one in sent}
    made = [
        (names[request.name], request.at.timestamp() + request.seconds)
        for request in asked
        if (request.verb, request.resource, request.code) == ("create", "jobs", 201) and request.name in names
    ]
    if len(made) != len(sent) or len(dict(made)) != len(sent):
        raise LookupError(f"{len(made)} Jobs for {len(sent)} sessions")
    return dict(made)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99 %, the largest."""
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[math.ceil(len(ordered) * rank) - 1], 3) for name, rank in ranks.items()}


def order(sent: Sequence[Sent], made: Mapping[str, float]) -> dict[str, int]:
    """How far the order of Jobs is from the order of creation, which the API server tells in whole seconds.

    `inversions` counts pairs whose older session got its Job later; `furthest` is the most older sessions
    that one Job has overtaken.
    """
    created = [one.created for one in sorted(sent, key=lambda one: made[one.name])]
    waiting: list[int] = []
    overtaken = []
    for second in reversed(created):
        overtaken.append(bisect_right(waiting, second - 1))
        insort(waiting, second)
    seconds = max(created) - min(created) + 1
    return {"inversions": sum(overtaken), "furthest": max(overtaken), "seconds_of_creation": seconds}


def requests_a_session(sent: Sequence[Sent], asked: Sequence[Request]) -> dict[str, float]:
    """Requests of the operator by verb and resource, of all kinds, divided by sessions."""
    counts = Counter(f"{request.verb} {request.resource}" for request in asked)
    return {what: round(count / len(sent), 2) for what, count in counts.most_common() if count > 1}


def most_writes(sent: Sequence[Sent], asked: Sequence[Request]) -> dict[str, int]:
    """The most writes that one session needed, by resource."""
    names = {one.name for one in sent} | {job_name(one.uid, 1) for one in sent}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for request in asked:
        if request.writes and request.name in names:
            counts[f"{request.verb} {request.resource}"][request.name] += 1
    return {what: max(each.values()) for what, each in counts.items()}


def cpu(samples: Sequence[Sample], sessions: int) -> dict[str, Any]:
    """Use of the processor between the first and the last Sample; the operator's also with its start."""
    first, last = samples[0], samples[-1]
    used = {name: seconds - first.cpu[name] for name, seconds in last.cpu.items()}
    seconds, everybody = last.at - first.at, sum(used.values())
    return {
        "seconds": round(seconds, 1),
        "cores_used": round(everybody / seconds, 2),
        "share_percent": {name: round(100 * each / everybody) for name, each in used.items()},
        "operator_ms_a_session": round(1000 * used["operator"] / sessions, 1),
        "operator_ms_a_session_with_its_start": round(1000 * last.cpu["operator"] / sessions, 1),
    }
