"""A real API server takes the CRDs, and says of every manifest what models and `avatar lint` say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import Cluster, RestError
from tests.support.manifest_cases import Case, Update, as_yaml, cases, updates

from avatar_cli.linting import lint
from avatar_core.manifests import check_resource, read_stored
from avatar_core.resources import AvatarSession, Place, SessionStatus, refused_changes
from avatar_operator.crds import FOLDER, KINDS

pytestmark = pytest.mark.cluster

EXAMPLES = Path(__file__).parents[2] / "examples"
LAPTOP_ONLY = {EXAMPLES / "audio.yaml"}
SESSION = {
    "apiVersion": "avatars.dev/v1alpha1",
    "kind": "AvatarSession",
    "metadata": {"name": "hello"},
    "spec": {"text": "Hello, $(OPENAI_API_KEY)!"},
}
STATUS = {
    "phase": "Running",
    "conditions": [
        {
            "type": "Succeeded",
            "status": "Unknown",
            "reason": "Running",
            "message": "drawing",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 1,
        }
    ],
    "observedGeneration": 1,
    "stage": "render",
    "progress": {"done": 30, "total": 60.5, "percent": 49},
    "attempt": 1,
    "jobName": "avs-abc-1",
    "engine": "preview",
    "video": {"url": "https://example.com/v/1", "seconds": 4.25, "expiresAt": "2026-01-02T04:04:05Z"},
    "timings": {"llm": {"begin": 0, "first": 0.5, "end": 1.5}, "totalSeconds": 9.5},
    "usage": {"completionTokens": 20, "gpuSeconds": 0.25},
}


@pytest.fixture(scope="module", autouse=True)
def _kinds(cluster: Cluster) -> None:
    for file in sorted(FOLDER.iterdir()):
        cluster.apply(file)


def path_of(namespace: str, kind: str, name: str = "") -> str:
    path = f"/apis/avatars.dev/v1alpha1/namespaces/{namespace}/{kind.lower()}s"
    return f"{path}/{name}" if name else path


def refusal(cluster: Cluster, namespace: str, document: dict[str, Any]) -> str:
    """Why the API server, asked to be strict, would not take a manifest; empty when it would."""
    try:
        cluster.rest.post(
            path_of(namespace, document["kind"]), document, dryRun="All", fieldValidation="Strict"
        )
    except RestError as error:
        return _verdict(error)
    return ""


def _verdict(error: RestError) -> str:
    assert error.code in (400, 413, 422), error
    return str(error)


def disagreement(cluster: Cluster, namespace: str, case: Case) -> str:
    said = refusal(cluster, namespace, case.document)
    findings = lint(as_yaml(case.document).encode(), "case.yaml").findings
    models = not isinstance(check_resource(case.document, Place.CLUSTER), list)
    verdicts = {"server": not said, "lint": not findings, "models": models}
    field = case.name.partition("=")[0]
    elsewhere = not case.valid and field.startswith("spec.") and field not in said
    if all(verdict == case.valid for verdict in verdicts.values()) and not elsewhere:
        return ""
    return f"{case.name}: must be {case.valid}, but {verdicts}: {said[:300]} {findings}"


def test_definitions_are_established_and_keep_all_they_say(cluster: Cluster) -> None:
    for kind in KINDS:
        found = cluster.rest.get(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.plural}.avatars.dev"
        )
        conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True")
        assert "NonStructuralSchema" not in conditions
        assert found["status"]["acceptedNames"]["shortNames"] == [kind.short]


def test_server_models_and_lint_agree_on_hundreds_of_manifests(cluster: Cluster, namespace: str) -> None:
    found = cases()
    assert len(found) > 400
    assert [text for case in found if (text := disagreement(cluster, namespace, case))] == []


def test_server_and_twins_agree_on_every_change(cluster: Cluster, namespace: str) -> None:
    wrong = [text for update in updates() if (text := _update_disagreement(cluster, namespace, update))]
    assert wrong == []


def _update_disagreement(cluster: Cluster, namespace: str, update: Update) -> str:
    made = cluster.rest.post(path_of(namespace, "AvatarSession"), update.old)
    metadata = update.new["metadata"] | {"resourceVersion": made["metadata"]["resourceVersion"]}
    path = path_of(namespace, "AvatarSession", made["metadata"]["name"])
    said = ""
    try:
        cluster.rest.put(path, update.new | {"metadata": metadata})
    except RestError as error:
        said = _verdict(error)
    finally:
        cluster.rest.delete(path)
    old, new = (check_resource(document, Place.CLUSTER) for document in (update.old, update.new))
    assert isinstance(old, AvatarSession)
    assert isinstance(new, AvatarSession)
    broken = refused_changes(old.spec, new.spec)
    if (not said, not broken) == (update.allowed, update.allowed):
        return "" if all(rule.message in said for rule in broken) else f"{update.name}: {said}"
    return f"{update.name}: must be {update.allowed}; server: {said or 'allows'}; twins: {broken}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": {"fps": 11}}, "below 12 lips no longer look as if they spoke"),
        ({"video": {"fps": "900/29"}}, "12 to 30 frames per second"),
        ({"video": {"batchSize": 5}}, "above 4 small cards run out of memory"),
        ({"prompt": "and a prompt"}, "exactly one of prompt, text and audio"),
        ({"text": "\u0007"}, "control characters"),
        ({"text": "ä" * 8193}, "1 to 16384 bytes of UTF-8"),
        ({"continueFrom": {"name": "hello"}}, "would wait for its own end"),
    ],
)
def test_the_server_says_the_allowed_range_and_why(
    cluster: Cluster, namespace: str, change: dict[str, Any], words: str
) -> None:
    assert words in refusal(cluster, namespace, SESSION | {"spec": SESSION["spec"] | change})


def test_unknown_fields_are_dropped_unless_the_server_is_strict(cluster: Cluster, namespace: str) -> None:
    document = SESSION | {"spec": SESSION["spec"] | {"vido": {"fps": 15}}}
    assert 'unknown field "spec.vido"' in refusal(cluster, namespace, document)
    stored = cluster.rest.post(path_of(namespace, "AvatarSession"), document, fieldValidation="Ignore")
    assert "vido" not in stored["spec"]


def test_the_server_defaults_as_the_models_do(cluster: Cluster, namespace: str) -> None:
    for case in cases():
        if not case.valid:
            continue
        stored = cluster.rest.post(path_of(namespace, case.kind), case.document, dryRun="All")
        read = check_resource(case.document, Place.CLUSTER)
        assert not isinstance(read, list)
        assert stored["spec"] == read.model_dump(by_alias=True, mode="json", exclude_none=True)["spec"], case
        assert read_stored(stored).spec == read.spec


def test_a_prompt_is_stored_to_the_letter(cluster: Cluster, namespace: str) -> None:
    stored = cluster.rest.post(path_of(namespace, "AvatarSession"), SESSION)
    assert stored["spec"]["text"] == "Hello, $(OPENAI_API_KEY)!"


def test_a_status_comes_back_as_it_was_written(cluster: Cluster, namespace: str) -> None:
    cluster.rest.post(path_of(namespace, "AvatarSession"), SESSION)
    path = path_of(namespace, "AvatarSession", "hello")
    stored = cluster.rest.patch(f"{path}/status", {"status": STATUS}, fieldValidation="Strict")
    assert stored["status"] == STATUS
    read = read_stored(stored)
    assert isinstance(read, AvatarSession)
    written = read.status.model_dump(by_alias=True, mode="json", exclude_unset=True)
    assert SessionStatus.model_validate(written, by_alias=True) == read.status
    again = cluster.rest.patch(f"{path}/status", {"status": written}, fieldValidation="Strict")
    assert again["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    # Through the front door nobody writes a status.
    fake = cluster.rest.patch(path, {"status": {"phase": "Succeeded"}})
    assert fake["status"]["phase"] == "Running"


def test_kubectl_shows_what_matters(cluster: Cluster, namespace: str) -> None:
    cluster.rest.post(path_of(namespace, "AvatarSession"), SESSION)
    cluster.rest.patch(path_of(namespace, "AvatarSession", "hello/status"), {"status": STATUS})
    header, row = cluster.kubectl("get", "avs", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "PHASE", "STAGE", "PROGRESS", "ENGINE", "SECONDS", "AGE"]
    assert row.split()[:6] == ["hello", "Running", "render", "49", "preview", "4.25"]
    wide = cluster.kubectl("get", "avs", "-n", namespace, "-o", "wide").splitlines()[0].split()
    assert wide[7:] == ["REASON", "QUEUE", "ATTEMPT", "TOOK", "EXPIRES", "MESSAGE"]
    for name in ("av", "avp", "avatar-operator"):
        cluster.kubectl("get", name, "-n", namespace)
    chosen = ("get", "avs", "-n", namespace, "-o", "name", "--field-selector")
    assert "hello" in cluster.kubectl(*chosen, "status.phase=Running")
    assert "hello" not in cluster.kubectl(*chosen, "spec.providerRef.name=hosted")
    assert "maxTokens" in cluster.kubectl("explain", "avs.spec.llm")


@pytest.mark.parametrize(
    "path", sorted(set(EXAMPLES.rglob("*.yaml")) - LAPTOP_ONLY), ids=lambda path: path.stem
)
def test_an_example_applies(cluster: Cluster, namespace: str, path: Path) -> None:
    told = cluster.kubectl("apply", "-n", namespace, "-f", str(path))
    assert len(told.splitlines()) == len(lint(path.read_bytes(), path.name).good)
    assert cluster.kubectl("apply", "-n", namespace, "-f", str(path)).count("unchanged") == told.count(
        "created"
    )


# `avatar lint --server`


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session.yaml"
    path.write_text(json.dumps(SESSION, indent=1))
    return path


def ask(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "avatar_cli",
        "lint",
        "--server",
        "--kubeconfig",
        str(config),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_dry_run_changes_nothing(cluster: Cluster, namespace: str, file: Path) -> None:
    ran = ask(cluster.kubeconfig(), "-n", namespace, str(file))
    assert (ran.returncode, ran.stdout) == (0, f"{file}: 1 resource is fine\n"), ran.stderr
    assert cluster.rest.get(path_of(namespace, "AvatarSession"))["items"] == []


def test_a_dry_run_sees_what_may_not_change(cluster: Cluster, namespace: str, file: Path) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", str(file))
    assert ask(cluster.kubeconfig(), "-n", namespace, str(file)).returncode == 0
    file.write_text(file.read_text().replace("Hello", "Good-bye"))
    ran = ask(cluster.kubeconfig(), "-n", namespace, str(file))
    assert ran.returncode == 2
    assert f"{file}:7: spec: " in ran.stdout
    assert "create another session" in ran.stdout


def test_a_dry_run_tells_what_it_may_not_ask(cluster: Cluster, namespace: str, file: Path) -> None:
    ran = ask(cluster.kubeconfig("nobody-in-particular"), "-n", namespace, str(file))
    assert ran.returncode == 2
    assert "forbidden" in ran.stdout
    ran = ask(cluster.kubeconfig(), "-n", "absent", str(file))
    assert ran.returncode == 2
    assert 'namespaces "absent" not found' in ran.stdout
