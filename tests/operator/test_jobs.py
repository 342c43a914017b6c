"""The Job: what it may, what it carries, and that nothing a person wrote is anything but data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_operator import SETTINGS
from tests.support.pictures import UID, session

from avatar_core.errors import REASONS, Reason
from avatar_core.tracing import trace_id_of
from avatar_operator.jobs import build_job
from avatar_operator.names import RESOLVED, job_name
from avatar_operator.objects import AvatarView, ProviderView, SecretKey, Turn
from avatar_operator.resolved import Inputs, recent
from avatar_operator.settings import Resources, Telemetry

PROVIDER = ProviderView(
    has_llm=True,
    document=json.dumps(
        {
            "llm": {"model": "m", "apiKeySecretRef": {"name": "openai", "key": "LD_PRELOAD"}},
            "speech": {"type": "openai", "apiKeySecretRef": {"name": "tts", "key": "PATH"}},
        }
    ),
    llm_key=SecretKey("openai", "LD_PRELOAD"),
    speech_key=SecretKey("tts", "PATH"),
)


def built(document: str = "{}", inputs: Inputs | None = None, **settings: Any) -> dict[str, Any]:
    return build_job(session(document=document), 3, inputs or Inputs(), replace(SETTINGS, **settings))


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def test_it_is_named_by_uid_and_attempt_and_owned_by_its_session() -> None:
    job = built()
    assert job["metadata"]["name"] == job_name(UID, 3)
    assert len(job_name("a" * 36, 10_000)) <= 63 - len("-xxxxx")
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, True)
    labels = job["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "avatar-operator"
    assert labels["avatars.dev/session-uid"] == UID
    assert job["spec"]["template"]["metadata"]["labels"] == labels


def test_its_clocks_and_retries() -> None:
    spec = built()["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (2, 300 + 120 + 15)
    assert "ttlSecondsAfterFinished" not in spec
    assert "suspend" not in spec
    pod = pod_of(built())
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 5)
    assert {t["key"]: t["tolerationSeconds"] for t in pod["tolerations"]} == {
        "node.kubernetes.io/not-ready": 10,
        "node.kubernetes.io/unreachable": 10,
    }


def test_its_failure_policy_follows_our_exit_codes() -> None:
    ignore, fail = built()["spec"]["podFailurePolicy"]["rules"]
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    final = set(fail["onExitCodes"]["values"])
    assert 0 not in final
    for reason, info in REASONS.items():
        if reason is not Reason.CANCELLED and info.exit_code not in {39, 69}:
            assert (info.exit_code in final) is not info.retry, reason
    assert not final & {1, 130, 137, 143}


def test_it_is_restricted_and_has_no_rights() -> None:
    pod = pod_of(built())
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    security = pod["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = [next(key for key in volume if key != "name") for volume in pod["volumes"]]
    assert kinds == ["downwardAPI", "projected", "emptyDir"]
    tokens = [source["serviceAccountToken"] for source in pod["volumes"][1]["projected"]["sources"]]
    audiences = SETTINGS.audiences
    assert [t["audience"] for t in tokens] == [audiences.operator, audiences.gateway, audiences.inference]


def test_keys_come_from_secrets_under_names_of_ours() -> None:
    inputs = Inputs(provider=PROVIDER)
    job = built(inputs=inputs)
    environment = {entry["name"]: entry for entry in pod_of(job)["containers"][0]["env"]}
    assert not {"LD_PRELOAD", "PATH"} & set(environment)
    key = environment["AVATAR_LLM_API_KEY"]["valueFrom"]["secretKeyRef"]
    assert key == {"name": "openai", "key": "LD_PRELOAD"}
    document = json.loads(job["spec"]["template"]["metadata"]["annotations"][RESOLVED])
    assert document["provider"]["llm"]["apiKeySecretRef"] == {
        "name": "environment",
        "key": "AVATAR_LLM_API_KEY",
    }
    assert document["provider"]["speech"]["apiKeySecretRef"]["key"] == "AVATAR_SPEECH_API_KEY"


def test_traces_are_asked_for_only_where_the_administrator_says_so() -> None:
    assert "OTEL" not in json.dumps(built())
    telemetry = Telemetry("http://collector:4318", "otlp")
    job = build_job(session(), 2, Inputs(), replace(SETTINGS, telemetry=telemetry))
    environment = {entry["name"]: entry for entry in pod_of(job)["containers"][0]["env"]}
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == "http://collector:4318"
    key = environment["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
    assert key == {"name": "otlp", "key": "headers", "optional": True}
    document = json.loads(job["spec"]["template"]["metadata"]["annotations"][RESOLVED])
    assert document["trace"] == trace_id_of(UID, 2)


HOSTILE = ["$(OPENAI_API_KEY)", "`id`", "{{ .Values }}", "'; rm -rf / #", "\u0000\u001b[2J\r\n", "../../x"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_person_wrote_is_in_the_annotation_and_nowhere_else(text: str) -> None:
    job = built(json.dumps({"prompt": f"marker {text}"}))
    annotations = job["spec"]["template"]["metadata"].pop("annotations")
    assert json.loads(annotations[RESOLVED])["spec"] == {"prompt": f"marker {text}"}
    assert "marker" not in json.dumps(job)


@given(st.text(max_size=200))
def test_any_text_arrives_as_it_was(text: str) -> None:
    job = built(json.dumps({"text": text}))
    annotation = job["spec"]["template"]["metadata"]["annotations"][RESOLVED]
    assert json.loads(annotation)["spec"]["text"] == text


def test_it_is_the_same_each_time() -> None:
    inputs = Inputs(AvatarView(bundle="sha256:1"), PROVIDER, (Turn("user", "hi"), Turn("assistant", "ho")))
    assert json.dumps(built(inputs=inputs)) == json.dumps(built(inputs=inputs))


def test_the_administrators_settings_are_all_there_is_to_say() -> None:
    job = built(
        priority_class="low",
        runtime_class="gvisor",
        pull_secrets=("registry",),
        node_selector={"pool": "cpu"},
        tolerations=({"key": "spot", "operator": "Exists"},),
        labels={"team": "video", "app.kubernetes.io/name": "mine"},
        env=({"name": "LOG", "value": "1"}, {"name": "AVATAR_GATEWAY_URL", "value": "elsewhere"}),
        resources=Resources(requests={"cpu": "1"}, limits={"memory": "1Gi"}, scratch="2Gi"),
    )
    pod = pod_of(job)
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("low", "gvisor")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert pod["tolerations"][-1] == {"key": "spot", "operator": "Exists"}
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert environment["LOG"] == "1"
    assert environment["AVATAR_GATEWAY_URL"] == SETTINGS.gateway_url  # of two with one name the last counts
    assert job["metadata"]["labels"]["team"] == "video"
    assert job["metadata"]["labels"]["app.kubernetes.io/name"] == "avatar-session"


@given(st.lists(st.text(max_size=60), max_size=12), st.integers(0, 600))
def test_history_is_bounded_and_begins_with_a_question(texts: list[str], room: int) -> None:
    turns = tuple(Turn("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))
    kept = recent(turns, room)
    assert kept == turns[len(turns) - len(kept) :]
    assert not kept or kept[0].role == "user"
    assert sum(len(json.dumps(turn.text, ensure_ascii=False).encode()) for turn in kept) <= room
    assert recent(turns, 10**6) == turns
