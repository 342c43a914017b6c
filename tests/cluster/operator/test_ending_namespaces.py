"""A namespace that is being deleted is never held up, whatever of its sessions is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster import RUNNING, Cluster, RestError, ended, eventually
from tests.cluster.operators import RESOURCES, World, a_world

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def gone(cluster: Cluster, namespace: str) -> bool:
    try:
        cluster.rest.get(f"/api/v1/namespaces/{namespace}")
    except RestError as error:
        return error.code == 404
    return False


@pytest.mark.parametrize("rights_first", [False, True])
def test_sessions_and_videos_hold_nothing_up(
    own_cluster: Cluster, tmp_path: Path, rights_first: bool
) -> None:
    """The namespace's RoleBindings go with it, often before its sessions; and no clean-up ever ends."""
    with a_world(own_cluster, tmp_path) as world:
        operator = world.start()
        with own_cluster.kubelet(world.namespace, lambda _: (RUNNING,)) as kubelet:
            for name in ("published", "running"):
                world.apply(name)
                world.until("Unknown", "Running", name)
            world.apply("waiting", avatarRef={"name": "nobody"})
            world.until("Unknown", "AvatarNotFound", "waiting")
            pod = kubelet.pod("avatars.dev/session=published")
            assert operator.post("result", world.token(pod), world.receipt("published"))[0] == 202
            world.until("True", "Succeeded", "published")
            kubelet.play(pod, ended(0))
            if rights_first:
                take_rights(world)
            own_cluster.rest.delete(f"/api/v1/namespaces/{world.namespace}")
            assert eventually(lambda: gone(own_cluster, world.namespace), seconds=60)
        assert operator.errors == []
        world.namespace = own_cluster.create_namespace()


def test_a_namespace_made_again_serves_sessions(own_cluster: Cluster, tmp_path: Path) -> None:
    """That one of its name was ending is forgotten; a session and an Avatar in use had been seen to end."""
    with a_world(own_cluster, tmp_path) as world:
        world.start(namespaces=[world.namespace, world.release])
        path = f"/api/v1/namespaces/{world.namespace}"
        world.apply("first")
        assert eventually(lambda: world.jobs_of("first"))
        own_cluster.rest.delete(path)
        assert eventually(lambda: gone(own_cluster, world.namespace), seconds=60)
        own_cluster.rest.post("/api/v1/namespaces", {"metadata": {"name": world.namespace}})
        world.prepare(world.namespace)
        world.apply_resource("Avatar", "face", source={"url": "https://x.example/face.mp4"})
        world.until_ready("avatars", "face", "Unknown", "Preparing", seconds=60)
        world.apply("second")
        world.until("Unknown", "Starting", "second", seconds=60)
        assert world.jobs_of("second")
        world.apply("third", avatarRef={"name": "face"})
        world.until("Unknown", "AvatarNotReady", "third")
        own_cluster.rest.delete(f"{RESOURCES.format(world.namespace)}/avatars/face")
        assert eventually(lambda: in_use(world), seconds=20)
        assert "deletionTimestamp" in world.resource("avatars", "face")["metadata"]


def in_use(world: World) -> bool:
    conditions = world.resource("avatars", "face").get("status", {}).get("conditions", ())
    return any(condition["type"] == "InUse" for condition in conditions)


def take_rights(world: World) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}/rolebindings"
    for item in world.cluster.rest.get(path)["items"]:
        world.cluster.rest.delete(f"{path}/{item['metadata']['name']}")


def test_a_namespace_that_may_not_be_read_stops_no_other(own_cluster: Cluster, tmp_path: Path) -> None:
    """Its RoleBinding went with it, or never was: kopf would end the process over that after two minutes."""
    with a_world(own_cluster, tmp_path) as world:
        lost = own_cluster.create_namespace()
        served = [lost, world.namespace, world.release]
        operator = world.start(namespaces=served)
        world.apply("before")
        assert eventually(lambda: world.jobs_of("before"))
        own_cluster.rest.delete(f"/api/v1/namespaces/{lost}")
        assert eventually(lambda: gone(own_cluster, lost), seconds=60)
        assert operator.end() == 0
        second = world.start(namespaces=served)
        world.apply("after")
        assert eventually(lambda: world.jobs_of("after"))
        refusals = [entry for entry in second.logs if "can't be read" in entry["message"]]
        assert [lost in entry["message"] for entry in refusals] == [True]
        tries = [entry for entry in second.logs if "will retry" in entry["message"]]
        assert 0 < len(tries) <= 10  # one a kind and minute
        assert second.probe("/healthz")[0] == 200
        assert second.errors == []


def test_an_operator_that_may_read_nothing_says_so(own_cluster: Cluster, tmp_path: Path) -> None:
    with a_world(own_cluster, tmp_path) as world:
        operator = world.start(namespaces=["default"], wait=False)
        assert eventually(operator.process.poll, seconds=30) not in {None, 0}
        assert "avatarsessions.avatars.dev is forbidden" in operator.log.read_text()
