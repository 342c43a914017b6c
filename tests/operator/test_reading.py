"""What API objects say, as decisions take it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.cluster.pod_states import (
    IMAGE_PULL_BACK_OFF,
    NODE_LOST,
    OOM_KILLED,
    RUNNING,
    UNSCHEDULABLE,
    disrupted,
    ended,
)

from avatar_core.errors import InvalidInputError, Reason
from avatar_operator.objects import SecretKey
from avatar_operator.posts import read_progress, read_result
from avatar_operator.providers.decide import read_provider
from avatar_operator.reading import read_job, read_pod, read_session

NOW = "2026-01-02T03:04:05Z"
RECEIPT: dict[str, Any] = {
    "uid": "u",
    "reply": "Hello.",
    "video": {"bytes": 1, "sha256": "ab" * 32, "seconds": 1, "frames": 15, "fps": "15", "key": "x/y"},
    "timings": {"render": {"begin": 0, "first": 0.5, "end": 1}},
    "avatar": "ava",
    "notes": ["n"] * 30,
}
METADATA = {
    "name": "p",
    "namespace": "n",
    "uid": "u",
    "resourceVersion": "7",
    "creationTimestamp": NOW,
    "labels": {"avatars.dev/attempt": "3"},
    "ownerReferences": [{"uid": "other"}, {"uid": "owner", "controller": True}],
}


def pod(*states: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "metadata": copy.deepcopy(METADATA),
        "spec": {"containers": [{"name": "session", "image": "i"}]},
        "status": {"phase": "Pending"},
    }
    for state in states:
        status = state.status(document, NOW)
        old = {c["type"]: c for c in document["status"].get("conditions", ())}
        old |= {c["type"]: c for c in status.pop("conditions")}
        document["status"] |= {**status, "conditions": list(old.values())}
    return document


def test_a_running_pod() -> None:
    view, result = read_pod(pod(RUNNING))
    assert (view.phase, view.ready, view.job_uid, result) == ("Running", "True", "owner", None)
    assert view.container.started_at == 1767323045


def test_a_lost_node_is_known_by_a_reason_that_is_missing() -> None:
    assert read_pod(pod(RUNNING, NODE_LOST))[0].ready == "Unknown"
    assert read_pod(pod(NODE_LOST))[0].ready == "False"


def test_what_keeps_pods_from_running() -> None:
    assert read_pod(pod(UNSCHEDULABLE))[0].unschedulable.startswith("0/1 nodes")
    assert read_pod(pod(IMAGE_PULL_BACK_OFF))[0].container.waiting == "ImagePullBackOff"
    assert read_pod(pod(RUNNING, disrupted("EvictionByEvictionAPI")))[0].disrupted
    killed = read_pod(pod(RUNNING, OOM_KILLED))[0].container
    assert (killed.end_reason, killed.exit_code) == ("OOMKilled", 137)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "panic",
        "[]",
        "null",
        "7",
        '{"reason": "Nonsense", "message": ""}',
        '{"result": {}}',
        '"result"',
        "[" * 9000,
    ],
)
def test_termination_messages_of_another_kind_say_nothing(message: str) -> None:
    view, result = read_pod(pod(RUNNING, ended(1, message)))
    assert (view.container.report, result) == (None, None)


def test_termination_messages_say_why_or_what() -> None:
    why = json.dumps({"reason": "NoFace", "message": "none found"})
    report = read_pod(pod(ended(11, why)))[0].container.report
    assert report is not None
    assert (report.reason, report.message) == (Reason.NO_FACE, "none found")
    result = read_pod(pod(ended(0, json.dumps({"result": RECEIPT}))))[1]
    assert result == read_result(RECEIPT)


def test_half_a_character_is_read_as_the_api_server_would_store_it() -> None:
    why = '{"reason": "NoFace", "message": "a\\ud800b"}'
    report = read_pod(pod(ended(11, why)))[0].container.report
    assert report is not None
    assert report.message == "a?b"
    assert read_result({**RECEIPT, "reply": "a\ud800b"}).made.reply == "a?b"


def test_a_result_is_bounded() -> None:
    result = read_result({**RECEIPT, "reply": "x" * 100_000, "engine": "e" * 1000})
    assert (len(result.made.reply), len(result.made.engine), len(result.made.notes)) == (65536, 253, 16)
    assert result.made.avatar == ""
    assert result.stages[0].stage == "render"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"video": None}, "video"),
        ({"video": {**RECEIPT["video"], "frames": -1}}, "video.frames"),
        ({"video": {**RECEIPT["video"], "sha256": "../../etc"}}, "video.sha256"),
        ({"totalSeconds": float("nan")}, "totalSeconds"),
    ],
)
def test_a_wrong_result_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_result({**RECEIPT, **change})
    assert caught.value.field == field


def test_progress() -> None:
    stage, progress = read_progress({"stage": "llm", "done": 3, "note": "n" * 5000, "newer": 1})
    assert (stage, progress.done, progress.total, len(progress.note)) == ("llm", 3, None, 1024)


def test_a_job() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    job = {"metadata": METADATA, "spec": {}, "status": {"conditions": [failed], "startTime": NOW}}
    view = read_job(job)
    assert (view.owner_uid, view.attempt, view.finished, view.failure) == (
        "owner",
        3,
        "Failed",
        "DeadlineExceeded",
    )


def session(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarSession",
        "metadata": {k: v for k, v in METADATA.items() if k != "ownerReferences"},
        "spec": spec,
    }


def test_a_session_with_its_defaults() -> None:
    view = read_session(session(prompt="Hi", avatarRef={"name": "ada"}, suspend=True))
    spec = view.spec
    assert (spec.source, spec.avatar_ref, spec.suspend, spec.timeout) == ("prompt", "ada", True, 120)
    assert json.loads(spec.document)["prompt"] == "Hi"
    assert view.invalid == ""


def test_a_session_that_this_version_cannot_read_is_still_one() -> None:
    view = read_session(session(text="a", prompt="b", ttlSecondsAfterFinished=9))
    assert view.invalid
    assert view.spec.session_ttl == 9
    view = read_session(session(text="a", newField={"of": "a newer version"}))
    assert view.invalid == ""


def test_a_provider_names_keys_and_never_holds_one() -> None:
    reference = {"name": "openai", "key": "token"}
    document = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarProvider",
        "metadata": METADATA,
        "spec": {"llm": {"model": "m", "apiKeySecretRef": reference}},
    }
    view = read_provider(document).view
    assert (view.ready, view.has_llm, view.llm_key) == (True, True, SecretKey("openai", "token"))
