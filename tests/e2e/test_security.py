"""What a session's pod can do with what it has: its own work, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster import eventually
from tests.e2e.commands import CommandError
from tests.e2e.installation import GATEWAY, NAMESPACE, RELEASE, Installation

pytestmark = pytest.mark.e2e

LONG = "This sentence is said again and again, so that its pod is there for long enough. " * 30
ATTACKS = """
import json, ssl, sys, urllib.error, urllib.request
from pathlib import Path
import grpc

namespace, other, gateway, operator, inference = sys.argv[1:]
tokens = {path.name: path.read_text() for path in Path("/var/run/secrets/avatars.dev").iterdir()
          if not path.name.startswith(".")}
insecure = ssl._create_unverified_context()

def ask(url, token="", method="GET", data=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=insecure) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

api = f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}"
theirs = f"{gateway}/v1/store/{namespace}/{other}"
found = {f"api with {name}": ask(f"{api}/secrets", token) for name, token in tokens.items()}
found["api account mounted"] = Path("/var/run/secrets/kubernetes.io").exists()
found["read another's"] = ask(f"{theirs}/result.json", tokens["gateway"])
found["write another's"] = ask(f"{theirs}/video.mp4", tokens["gateway"], "PUT", b"x")
found["delete another's"] = ask(f"{theirs}/video.mp4", tokens["gateway"], "DELETE")
found["store with operator's token"] = ask(f"{theirs}/video.mp4", tokens["operator"])
found["forged link"] = ask(f"{gateway}/v/1.9999999999.{'A' * 43}/{namespace}/{other}/video.mp4")
found["bundles"] = ask(f"{gateway}/v1/bundles/{'0' * 64}/manifest.json", tokens["gateway"])
found["post with gateway's token"] = ask(f"{operator}/v1/progress", tokens["gateway"], "POST", b"{}")
found["post without"] = ask(f"{operator}/v1/result", "", "POST", b"{}")

method = "/avatars.inference.v1alpha1.LipSyncService/GetServerInfo"
for name, token in {"none": "", "gateway": tokens["gateway"], "inference": tokens["inference"]}.items():
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(inference) as channel:
        try:
            channel.unary_unary(method)(b"", metadata=metadata, timeout=10)
            found[f"inference with {name}"] = "OK"
        except grpc.RpcError as error:
            found[f"inference with {name}"] = error.code().name
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("strangers")


@pytest.fixture(scope="module")
def found(installed: Installation, place: str) -> dict[str, Any]:
    """What the attacks came to, tried from within a pod at work."""
    installed.session(place, "victim", text="I am somebody else's.")
    installed.until(place, "victim", "True", "Succeeded")
    victim = installed.shell.get("avs", "victim", "-n", place)["metadata"]["uid"]
    installed.session(place, "attacker", text=LONG)
    installed_in = f"{NAMESPACE}.svc"
    addresses = [
        f"http://{GATEWAY}.{installed_in}:8082",
        f"http://{RELEASE}.{installed_in}:8081",
        f"{RELEASE}-inference.{installed_in}:50051",
    ]

    def attack() -> dict[str, Any]:
        pods = installed.shell.get("pods", "-n", place, "-l", "avatars.dev/session=attacker")["items"]
        if not pods or pods[0]["status"].get("phase") != "Running":
            return {}
        name = pods[0]["metadata"]["name"]
        command = ["exec", "-n", place, name, "--", "python", "-c", ATTACKS, place, victim, *addresses]
        tried: dict[str, Any] = json.loads(installed.shell.kubectl(*command))
        return tried

    came = eventually(attack, seconds=60)
    installed.shell.kubectl(
        "patch", "avs", "attacker", "-n", place, "--type=merge", "-p", '{"spec":{"cancel":true}}'
    )
    return came


def test_the_api_server_knows_none_of_its_tokens(found: dict[str, Any]) -> None:
    asked = {name: code for name, code in found.items() if name.startswith("api with ")}
    assert asked == dict.fromkeys(("api with operator", "api with gateway", "api with inference"), 401)
    assert found["api account mounted"] is False


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        ("read another's", 403),
        ("write another's", 403),
        ("delete another's", 403),
        ("store with operator's token", 401),
        ("forged link", 403),
        ("bundles", 403),
        ("post with gateway's token", 401),
        ("post without", 401),
        ("inference with none", "UNAUTHENTICATED"),
        ("inference with gateway", "UNAUTHENTICATED"),
        ("inference with inference", "OK"),
    ],
)
def test_each_attack_is_refused(found: dict[str, Any], attack: str, code: object) -> None:
    assert found[attack] == code


def test_the_victim_is_unharmed(installed: Installation, place: str, found: dict[str, Any]) -> None:
    status = installed.status(place, "victim")
    assert len(installed.fetch(status["video"]["url"])) == status["video"]["bytes"]


def test_who_may_only_create_sessions_learns_and_chooses_nothing(installed: Installation, place: str) -> None:
    """No Secret, no link's key, no image, no account."""
    shell = installed.shell
    shell.kubectl("create", "serviceaccount", "author", "-n", place)
    role = f"{RELEASE}-edit"
    shell.kubectl(
        "create",
        "rolebinding",
        "author",
        "-n",
        place,
        f"--clusterrole={role}",
        f"--serviceaccount={place}:author",
    )
    me = f"--as=system:serviceaccount:{place}:author"
    assert (
        shell.kubectl("auth", "can-i", "create", "avatarsessions.avatars.dev", "-n", place, me).strip()
        == b"yes"
    )
    for verb, what, where in (
        ("get", "secrets", place),
        ("get", "secrets", NAMESPACE),
        ("create", "avatarproviders.avatars.dev", place),
        ("create", "jobs.batch", place),
        ("get", "configmaps", NAMESPACE),
    ):
        with pytest.raises(CommandError):
            shell.kubectl("auth", "can-i", verb, what, "-n", where, me)
    for field, value in (("image", "evil:1"), ("serviceAccountName", "admin")):
        spec = {"text": "Hi.", field: value}
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarSession",
            "metadata": {"name": "evil"},
            "spec": spec,
        }
        with pytest.raises(CommandError, match=field):
            shell.apply(document, place)
