"""Avatars on a real API server: prepared, failed, waited for, changed, held; pods are played."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import IMAGE_PULL_BACK_OFF, RUNNING, Cluster, Kubelet, ended, eventually
from tests.cluster.operators import Replica, World, a_world

from avatar_operator.names import preparation_name

pytestmark = pytest.mark.cluster

BUNDLE, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
SOURCE = {"url": "https://pictures.example/face.jpg"}
JOBS = "/apis/batch/v1/namespaces/{}/jobs"


def words(bundle: str = BUNDLE) -> str:
    """What a pod says that prepared a face."""
    finding = {"reason": "SmallFace", "message": "come closer", "firstPicture": 0, "lastPicture": 29}
    facts = {"pictures": 30, "width": 512, "height": 640, "engine": "preview", "findings": [finding]}
    return json.dumps({"avatar": {"bundle": bundle, **facts}})


def pod_of(kubelet: Kubelet, name: str, more: str = "") -> str:
    return kubelet.pod(f"avatars.dev/avatar={name}{more}", seconds=15)


def avatar(world: World, name: str, **spec: Any) -> dict[str, Any]:
    return world.apply_resource("Avatar", name, source=SOURCE, **spec)


def jobs_of(world: World, name: str) -> list[dict[str, Any]]:
    return [job for job in world.jobs() if job["metadata"]["labels"].get("avatars.dev/avatar") == name]


def test_a_session_waits_for_its_avatar_and_gets_its_bundle(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    uid = avatar(world, "ada", face={"index": 2})["metadata"]["uid"]
    world.apply("waits", avatarRef={"name": "ada"})
    world.until("Unknown", "AvatarNotReady", "waits")
    pod = pod_of(kubelet, "ada")
    [job] = jobs_of(world, "ada")
    assert job["metadata"]["ownerReferences"][0]["uid"] == uid
    assert job["spec"]["template"]["spec"]["containers"][0]["name"] == "prepare"
    kubelet.play(pod, RUNNING)
    assert world.ready("avatars", "ada") == ("Unknown", "Preparing")
    kubelet.play(pod, ended(0, words()))
    status = world.until_ready("avatars", "ada", "True", "Prepared")
    assert (status["bundle"], status["pictures"], status["engine"]) == (BUNDLE, 30, "preview")
    assert (status["width"], status["height"], status["attempt"]) == (512, 640, 1)
    assert status["jobName"] == job["metadata"]["name"]
    assert [finding["reason"] for finding in status["findings"]] == ["SmallFace"]
    kubelet.pod("avatars.dev/session=waits")
    [made] = world.jobs_of("waits")
    annotation = made["spec"]["template"]["metadata"]["annotations"]["avatars.dev/resolved-session"]
    assert json.loads(annotation)["avatar"] == BUNDLE
    assert world.events("ada") == [("Normal", "Preparing"), ("Normal", "Prepared")]


def test_a_bundle_needs_no_job(world: World, operator: Replica) -> None:
    world.apply_resource("Avatar", "given", source={"bundle": BUNDLE})
    assert world.until_ready("avatars", "given", "True", "Prepared")["bundle"] == BUNDLE
    assert jobs_of(world, "given") == []


def test_a_typed_failure_and_another_spec(world: World, operator: Replica, kubelet: Kubelet) -> None:
    avatar(world, "group")
    message = json.dumps({"reason": "SeveralFaces", "message": "there are 3 faces"})
    kubelet.play(pod_of(kubelet, "group"), RUNNING, ended(11, message))
    status = world.until_ready("avatars", "group", "False", "SeveralFaces")
    told = status["conditions"][0]["message"]
    assert told == "there are 3 faces. Crop the picture or say which face to take."
    assert ("Warning", "SeveralFaces") in world.events("group")
    avatar(world, "group", face={"index": 1})
    second = pod_of(kubelet, "group", ",avatars.dev/generation=2")
    kubelet.play(second, RUNNING, ended(0, words()))
    world.until_ready("avatars", "group", "True", "Prepared")
    assert eventually(lambda: len(jobs_of(world, "group")) == 1)


def test_a_changed_spec_keeps_the_old_bundle_until_there_is_a_new_one(
    world: World, operator: Replica, kubelet: Kubelet
) -> None:
    avatar(world, "twice")
    kubelet.play(pod_of(kubelet, "twice"), RUNNING, ended(0, words()))
    world.until_ready("avatars", "twice", "True", "Prepared")
    avatar(world, "twice", motion={"sideMax": 640})
    status = world.until_ready("avatars", "twice", "Unknown", "Preparing")
    assert status["bundle"] == BUNDLE
    world.apply("meanwhile", avatarRef={"name": "twice"})
    world.until("Unknown", "AvatarNotReady", "meanwhile")
    second = pod_of(kubelet, "twice", ",avatars.dev/generation=2")
    kubelet.play(second, RUNNING, ended(0, words(OTHER)))
    assert world.until_ready("avatars", "twice", "True", "Prepared")["bundle"] == OTHER
    kubelet.pod("avatars.dev/session=meanwhile")


def test_what_keeps_a_pod_from_starting(world: World, operator: Replica, kubelet: Kubelet) -> None:
    avatar(world, "unpulled")
    kubelet.play(pod_of(kubelet, "unpulled"), IMAGE_PULL_BACK_OFF)
    world.until_ready("avatars", "unpulled", "Unknown", "ImagePullBackOff")
    avatar(world, "unpulled", face={"index": 1})
    world.until_ready("avatars", "unpulled", "Unknown", "Preparing")


def test_a_job_that_is_deleted_is_missed(world: World, operator: Replica, kubelet: Kubelet) -> None:
    avatar(world, "robbed")
    pod_of(kubelet, "robbed")
    [job] = jobs_of(world, "robbed")
    world.cluster.rest.delete(f"{JOBS.format(world.namespace)}/{job['metadata']['name']}")
    status = world.until_ready("avatars", "robbed", "False", "ResultLost")
    assert job["metadata"]["name"] in status["conditions"][0]["message"]


def test_an_avatar_in_use_is_held(world: World, operator: Replica, kubelet: Kubelet) -> None:
    avatar(world, "held")
    kubelet.play(pod_of(kubelet, "held"), RUNNING, ended(0, words()))
    world.until_ready("avatars", "held", "True", "Prepared")
    for number in range(4):
        world.apply(f"uses-{number}", avatarRef={"name": "held"}, suspend=number > 0)
    kubelet.play(kubelet.pod("avatars.dev/session=uses-0"), RUNNING)
    world.until("Unknown", "Running", "uses-0")
    path = f"/apis/avatars.dev/v1alpha1/namespaces/{world.namespace}/avatars/held"
    world.cluster.rest.delete(path)
    wanted = "it goes once uses-0, uses-1, uses-2 and 1 more are finished or deleted"
    assert eventually(lambda: _used(world, "held") == wanted)
    assert ("Normal", "InUse") in world.events("held")
    world.apply("late", avatarRef={"name": "held"})
    status = world.until("Unknown", "AvatarNotReady", "late")
    assert "is being deleted" in status["conditions"][0]["message"]
    for name in ("late", "uses-1", "uses-2", "uses-3"):
        world.change(name, cancel=True)
    assert eventually(lambda: _used(world, "held") == "it goes once uses-0 is finished or deleted")
    world.change("uses-0", cancel=True)
    assert eventually(lambda: not world.resource("avatars", "held"))


def _used(world: World, name: str) -> str:
    conditions = world.resource("avatars", name).get("status", {}).get("conditions", ())
    return next((c["message"] for c in conditions if c["type"] == "InUse"), "")


def test_an_unused_avatar_goes_at_once(world: World, operator: Replica) -> None:
    world.apply_resource("Avatar", "idle", source={"bundle": BUNDLE})
    world.until_ready("avatars", "idle", "True", "Prepared")
    assert world.resource("avatars", "idle")["metadata"]["finalizers"] == ["avatars.dev/in-use"]
    world.cluster.rest.delete(f"/apis/avatars.dev/v1alpha1/namespaces/{world.namespace}/avatars/idle")
    assert eventually(lambda: not world.resource("avatars", "idle"))


@pytest.mark.slow
def test_a_namespace_that_goes_is_not_held(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world, own_cluster.kubelet(world.namespace) as kubelet:
        # A role bound within the namespace would go with it.
        world.bind("ClusterRoleBinding", "avatar-operator")
        replica = world.start()
        world.apply_resource("Avatar", "face", source={"bundle": BUNDLE})
        world.until_ready("avatars", "face", "True", "Prepared")
        # By a finalizer of somebody else's the session stays although all else goes.
        world.apply("stays", avatarRef={"name": "face"})
        kubelet.play(kubelet.pod("avatars.dev/session=stays"), RUNNING)
        world.until("Unknown", "Running", "stays")
        path = f"/apis/avatars.dev/v1alpha1/namespaces/{world.namespace}/avatarsessions/stays"
        kept = [*world.session("stays")["metadata"]["finalizers"], "example.com/stays"]
        own_cluster.rest.patch(path, {"metadata": {"finalizers": kept}})
        own_cluster.rest.delete(f"/api/v1/namespaces/{world.namespace}")
        assert eventually(lambda: not world.resource("avatars", "face"), seconds=30)
        assert world.session("stays")
        assert replica.errors == []


def test_a_job_of_somebody_else_keeps_its_name(world: World, operator: Replica, kubelet: Kubelet) -> None:
    operator.end()
    uid = avatar(world, "taken")["metadata"]["uid"]
    container = {"name": "c", "image": "example.invalid/x:1"}
    name = preparation_name(uid, 1, 1)
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
    world.cluster.rest.post(JOBS.format(world.namespace), theirs)
    second = world.start()
    status = world.until_ready("avatars", "taken", "Unknown", "JobNameTaken")
    assert name in status["conditions"][0]["message"]
    assert any(job["metadata"]["name"] == name for job in world.jobs())
    assert second.end() == 0
    assert second.errors == []


@pytest.mark.slow
def test_a_restart_that_finds_all_done_writes_nothing(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world, own_cluster.kubelet(world.namespace) as kubelet:
        first = world.start()
        avatar(world, "done")
        avatar(world, "failed")
        world.apply_resource("Avatar", "given", source={"bundle": BUNDLE})
        world.apply_resource("AvatarProvider", "default", llm={"model": "m"})
        key = {"name": "k", "key": "k"}
        insecure = {"model": "m", "baseURL": "http://api.example/v1", "apiKeySecretRef": key}
        world.apply_resource("AvatarProvider", "insecure", llm=insecure)
        kubelet.play(pod_of(kubelet, "done"), RUNNING, ended(0, words()))
        no_face = json.dumps({"reason": "NoFace", "message": "nobody is there"})
        kubelet.play(pod_of(kubelet, "failed"), RUNNING, ended(11, no_face))
        world.until_ready("avatars", "done", "True", "Prepared")
        world.until_ready("avatars", "failed", "False", "NoFace")
        world.until_ready("avatars", "given", "True", "Prepared")
        world.until_ready("avatarproviders", "default", "True", "Accepted")
        world.until_ready("avatarproviders", "insecure", "False", "InsecureURL")
        assert first.end() == 0
        since = datetime.now(UTC)
        second = world.start()
        looks = 'avatar_operator_reconciles_total{result="idle"}'
        assert eventually(lambda: second.metric(looks) >= 5)
        asked = own_cluster.audit_log(world.user, since=since)
        written = {request.resource for request in asked if request.writes}
        assert written <= {"leases"}
        assert second.errors == []
