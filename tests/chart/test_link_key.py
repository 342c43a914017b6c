"""The hook that makes the key of links: once, with no more rights than the chart gives it."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64decode

import pytest
import yaml
from tests.chart.charts import find, render
from tests.cluster import Cluster

from avatar_core.links import KEY_BYTES_MIN

pytestmark = pytest.mark.cluster

HOOK = "avatar-operator-make-key"


def made(cluster: Cluster, namespace: str, secret: str) -> subprocess.CompletedProcess[str]:
    account = f"system:serviceaccount:{namespace}:{HOOK}"
    command = [sys.executable, "-m", "avatar_operator.link_key", "--namespace", namespace, "--secret", secret]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig(account))}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_key_is_made_once_and_stays(cluster: Cluster, namespace: str) -> None:
    objects = render(namespace=namespace)
    rights = [find(objects, kind, HOOK) for kind in ("ServiceAccount", "Role", "RoleBinding")]
    cluster.apply(yaml.safe_dump_all(rights))
    pod = find(objects, "Job", HOOK)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == HOOK
    command = pod["containers"][0]["command"]
    secret = command[command.index("--secret") + 1]

    first = made(cluster, namespace, secret)
    assert first.returncode == 0, first.stderr
    path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
    key = cluster.rest.get(path)["data"]["key"]
    assert len(b64decode(key)) >= KEY_BYTES_MIN
    assert key not in first.stdout + first.stderr

    assert made(cluster, namespace, secret).returncode == 0
    assert cluster.rest.get(path)["data"]["key"] == key
    assert made(cluster, namespace, "another").returncode != 0


def test_it_is_not_made_where_there_is_one() -> None:
    rendered = render({"links": {"existingSecret": "mine"}})
    assert HOOK not in {each["metadata"]["name"] for each in rendered}
    for name in ("avatar-operator", "avatar-operator-gateway"):
        volumes = find(rendered, "Deployment", name)["spec"]["template"]["spec"]["volumes"]
        assert {"name": "links", "secret": {"secretName": "mine"}} in volumes
