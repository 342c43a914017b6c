"""The hook of `helm uninstall`: nothing is left that waits for the operator; with the chart's own rights."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from tests.chart.charts import RELEASE, find, render
from tests.cluster import Cluster, eventually
from tests.cluster.operators import CRDS
from tests.cluster.rest import RestError

from avatar_operator.names import FINALIZER, IN_USE, MANAGED_BY, OPERATOR

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
HOOK = f"{RELEASE}-retire"
GROUP = "/apis/avatars.dev/v1alpha1/namespaces"
SOMEBODYS = "example.com/kept"


@dataclass
class Place:
    """A release in one namespace that serves another, its operator's pods waiting for a node."""

    cluster: Cluster
    release: str
    served: str

    def session(self, name: str, *finalizers: str) -> None:
        self.make("avatarsessions", "AvatarSession", name, {"text": "Hello."}, finalizers)

    def make(self, plural: str, kind: str, name: str, spec: Json, finalizers: tuple[str, ...]) -> None:
        metadata = {"name": name, "finalizers": list(finalizers)}
        body = {"apiVersion": "avatars.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
        self.cluster.rest.post(f"{GROUP}/{self.served}/{plural}", body)

    def finalizers(self, plural: str, name: str) -> list[str]:
        found = self.cluster.rest.get(f"{GROUP}/{self.served}/{plural}/{name}")
        return list(found["metadata"].get("finalizers", ()))

    def names(self, path: str) -> set[str]:
        return {each["metadata"]["name"] for each in self.cluster.rest.get(path)["items"]}

    def job(self, name: str, labels: Json) -> None:
        container = {"name": "work", "image": "localhost/nothing:1"}
        template = {
            "metadata": {"labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {"template": template},
        }
        self.cluster.rest.post(f"/apis/batch/v1/namespaces/{self.served}/jobs", body)

    def retire(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs what the hook's container runs, as whom it runs it."""
        pod = find(self.rendered(), "Job", HOOK)["spec"]["template"]["spec"]
        command = [sys.executable, *pod["containers"][0]["command"][1:], *more]
        account = f"system:serviceaccount:{self.release}:{pod['serviceAccountName']}"
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig(account))}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def rendered(self) -> list[Json]:
        return render({"namespaces": [self.served]}, namespace=self.release)


@pytest.fixture
def place(cluster: Cluster, namespace: str) -> Place:
    cluster.apply(CRDS)
    made = Place(cluster, cluster.create_namespace("release"), namespace)
    kinds = {"ServiceAccount", "ClusterRole", "Role", "RoleBinding"}
    rights = [each for each in made.rendered() if each["kind"] in kinds]
    cluster.apply(yaml.safe_dump_all([*rights, find(made.rendered(), "Deployment", RELEASE)]))
    pods = f"/api/v1/namespaces/{made.release}/pods"
    assert eventually(lambda: len(made.names(pods)) == 2)
    return made


def test_nothing_waits_any_more_and_nothing_is_lost(place: Place) -> None:
    place.session("done", FINALIZER, SOMEBODYS)
    place.make("avatars", "Avatar", "face", {"source": {"url": "https://example.com/a.png"}}, (IN_USE,))
    place.job("ours", {MANAGED_BY: OPERATOR})
    place.job("theirs", {MANAGED_BY: "somebody"})
    done = place.retire()
    assert done.returncode == 0, done.stderr
    assert place.names(f"/api/v1/namespaces/{place.release}/pods") == set()
    assert place.names(f"/apis/batch/v1/namespaces/{place.served}/jobs") == {"theirs"}
    assert place.finalizers("avatarsessions", "done") == [SOMEBODYS]
    assert place.finalizers("avatars", "face") == []
    assert place.retire().returncode == 0


def test_with_everything_sessions_go_while_the_operator_is_there(place: Place) -> None:
    """The test takes the finalizer off, as the operator does once a folder is empty."""
    place.session("done", FINALIZER)
    path = f"{GROUP}/{place.served}/avatarsessions/done"

    def operator() -> None:
        eventually(lambda: place.cluster.rest.get(path)["metadata"].get("deletionTimestamp"))
        assert len(place.names(f"/api/v1/namespaces/{place.release}/pods")) == 2
        place.cluster.rest.patch(path, {"metadata": {"finalizers": []}})

    playing = threading.Thread(target=operator)
    playing.start()
    done = place.retire("--everything")
    playing.join()
    assert done.returncode == 0, done.stderr
    with pytest.raises(RestError, match="not found"):
        place.cluster.rest.get(path)


def test_what_would_not_go_is_named_in_time(place: Place) -> None:
    place.session("stubborn", SOMEBODYS)
    began = time.monotonic()
    done = place.retire("--everything", "--patience=2")
    assert done.returncode != 0
    assert "stubborn" in done.stderr
    assert time.monotonic() - began < 20
    assert len(place.names(f"/api/v1/namespaces/{place.release}/pods")) == 2


def test_other_namespaces_are_none_of_its_business(place: Place) -> None:
    """It has no right there, and does not ask."""
    elsewhere = Place(place.cluster, place.release, place.cluster.create_namespace("elsewhere"))
    elsewhere.session("other", FINALIZER)
    assert place.retire().returncode == 0
    assert elsewhere.finalizers("avatarsessions", "other") == [FINALIZER]
