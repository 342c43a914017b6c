"""The watches themselves, in this process: what they ask for, and how they show that they live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.cluster import Cluster
from tests.cluster.operators import CRDS, SESSIONS

from avatar_core.cluster.kube import Kube
from avatar_operator.cache import Cache
from avatar_operator.paths import WATCHED, collection
from avatar_operator.watching import Watching

pytestmark = pytest.mark.cluster


@pytest.fixture(autouse=True)
def _kinds(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in sorted(CRDS.iterdir()):
        cluster.apply(file)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))


def run(namespaces: list[str] | None, look: Callable[[Watching, Cache], Any]) -> Any:
    """Watches until `look` says something true, and returns that."""

    async def main() -> Any:
        kube, cache = await Kube.connect(100, 100), Cache()
        watching = Watching(kube, cache, namespaces, lambda _: None)
        task = asyncio.create_task(watching.run(lambda: None))
        async with asyncio.timeout(15):
            while not (found := look(watching, cache)):
                await asyncio.sleep(0.05)
        watching.stop()
        await task
        await kube.close()
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("everywhere", [True, False])
def test_every_watch_has_a_pulse(cluster: Cluster, namespace: str, everywhere: bool) -> None:
    begin = time.monotonic()
    scopes = [None] if everywhere else [namespace, "default"]
    expected = {(kind, collection(kind, scope)) for kind in WATCHED for scope in scopes}

    def alive(watching: Watching, _: Cache) -> bool:
        assert watching._watched.keys() <= expected
        # What is written at the start counts as a pulse, so a second one is waited for.
        times = watching._watched.values()
        return len(set(times)) == len(expected) and min(times) > begin

    assert run(None if everywhere else scopes, alive)  # type: ignore[arg-type]


def test_what_others_do_with_jobs_and_pods_is_not_seen(cluster: Cluster, namespace: str) -> None:
    containers = [{"name": "a", "image": "example.invalid/absent:1"}]
    for name, labels in (("ours", {"app.kubernetes.io/managed-by": "avatar-operator"}), ("theirs", {})):
        pod = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}
        path = f"/api/v1/namespaces/{namespace}/pods"
        cluster.rest.post(path, {"apiVersion": "v1", "kind": "Pod", **pod})
    session = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarSession",
        "metadata": {"name": "hello"},
        "spec": {"text": "Hello."},
    }
    cluster.rest.post(SESSIONS.format(namespace), session)
    both = run(
        [namespace],
        lambda _, cache: cache.uids and cache.known("pods") and (len(cache.known("pods")), len(cache.uids)),
    )
    assert both == (1, 1)


def test_in_a_pod_the_token_is_read_anew(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import incluster_config

    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "second"}}
    cluster.rest.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    token, url = tmp_path / "token", urlsplit(cluster.url)
    token.write_text(cluster.token(namespace))
    ca = yaml.safe_load(cluster.kubeconfig().read_text())["clusters"][0]["cluster"]["certificate-authority"]
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(url.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(url.port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", ca)
    at_once = SimpleNamespace(datetime=datetime, timedelta=lambda **_: timedelta(0))
    monkeypatch.setattr(incluster_config, "datetime", at_once)

    async def who() -> tuple[str, str]:
        kube = await Kube.connect(100, 100)
        names = []
        for account in ("default", "second"):
            token.write_text(cluster.token(namespace, account))
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            answer = await kube.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
            names.append(answer["status"]["userInfo"]["username"].rpartition(":")[2])
        await kube.close()
        return names[0], names[1]

    assert asyncio.run(who()) == ("default", "second")
