"""Whose a Job or pod is: what labels and controllers say of it, also when they change."""

from __future__ import annotations

from typing import Any, cast

import pytest

from avatar_operator.cache import Cache
from avatar_operator.line import Capacity, Line
from avatar_operator.memory import Memory
from avatar_operator.names import COMPONENT, SESSION_UID
from avatar_operator.objects import SessionView
from avatar_operator.observing import Observer

OURS, OTHERS = SessionView("ns", "a", "a"), SessionView("ns", "b", "b")


def document(uid: str, version: int, labels: dict[str, str], controller: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": uid,
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-02T03:05:00Z",
        "labels": labels,
    }
    if controller:
        metadata["ownerReferences"] = [{"uid": controller, "controller": True}]
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"}}


@pytest.mark.parametrize("plural", ["jobs", "pods"])
@pytest.mark.parametrize(
    ("labels", "woken"),
    [({SESSION_UID: "b"}, {"a", "b"}), ({}, {"a"}), ({SESSION_UID: "a", COMPONENT: "cleanup"}, {"a"})],
)
def test_what_is_labelled_anew_leaves_nothing_behind(
    plural: str, labels: dict[str, str], woken: set[str]
) -> None:
    cache = Cache()
    cache.put(plural, document("x", 1, {SESSION_UID: "a"}))
    assert cache.put(plural, document("x", 2, labels)) == woken
    of = cache.jobs if plural == "jobs" else cache.pods
    assert [view.uid for view in of(OURS)] == []
    assert [view.uid for view in of(OTHERS)] == ["x"] * ("b" in woken)
    cache.drop(plural, "x")
    assert (of(OURS), of(OTHERS)) == ((), ())


def test_pods_that_only_carry_the_label_take_no_place() -> None:
    cache, memory = Cache(), Memory()
    observer = Observer(cast("Any", None), cache, memory, Line(Capacity(1, 1)))
    label = {SESSION_UID: "a"}
    cache.put("jobs", document("own", 1, label, controller="a"))
    cache.put("jobs", document("forged", 1, label))
    cache.put("jobs", document("of-b", 1, {SESSION_UID: "b"}, controller="b"))
    for job in ("own", "forged", "of-b", "unknown", ""):
        cache.put("pods", document(f"pod of {job}", 1, label, controller=job))

    def alive() -> list[str]:
        seen, _ = observer.picture(OURS, 0)
        return [pod.uid for pod in seen.pods_alive]

    assert alive() == ["pod of own", "pod of unknown"]  # that Job may have gone before a restart
    cache.drop("jobs", "own")
    assert alive() == ["pod of own", "pod of unknown"]
