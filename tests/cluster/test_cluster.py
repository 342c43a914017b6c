"""The harness on a real cluster: what it promises to tests that use it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kubernetes import client
from tests.cluster import Cluster, KubectlError, RestError, ServerError
from tests.cluster.jobs import WIDGETS, config_map
from tests.cluster.patience import eventually

pytestmark = pytest.mark.cluster


def test_a_shared_cluster_answers_in_a_namespace_of_ones_own(cluster: Cluster, namespace: str) -> None:
    core = client.CoreV1Api(cluster.admin)
    core.create_namespaced_config_map(namespace, config_map("here"))
    assert "here" in cluster.kubectl("get", "configmaps", "-n", namespace)
    assert cluster.kubectl("version", "-o", "json").count('"v1.36.') == 2
    assert core.read_namespaced_service_account("default", namespace)


def test_users_may_what_rbac_lets_them(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    alice = client.CoreV1Api(cluster.client("alice", ["readers"]))
    with pytest.raises(client.ApiException) as refused:
        alice.list_namespaced_config_map(namespace)
    assert refused.value.status == 403
    cluster.kubectl("create", "rolebinding", "read", "--clusterrole=view", "--group=readers", "-n", namespace)
    assert eventually(lambda: _may_list(alice, namespace))
    with pytest.raises(client.ApiException) as refused:
        alice.create_namespaced_config_map(namespace, config_map("not-hers"))
    assert refused.value.status == 403
    alice.api_client.close()
    assert "not-hers" not in str(cluster.rest.get(path))
    with pytest.raises(KubectlError, match="cannot list"):
        cluster.kubectl("get", "configmaps", "-n", namespace, user="bob")


def _may_list(api: client.CoreV1Api, namespace: str) -> bool:
    try:
        api.list_namespaced_config_map(namespace)
    except client.ApiException:
        return False
    return True


def test_a_service_accounts_token_is_reviewed_with_its_audience_and_pod(
    cluster: Cluster, namespace: str
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "speaker"},
        "spec": {"containers": [{"name": "main", "image": "example.invalid/absent:1"}]},
    }
    uid = cluster.rest.post(f"/api/v1/namespaces/{namespace}/pods", pod)["metadata"]["uid"]
    token, other = (
        cluster.token(namespace, audience="operator.avatars.dev", pod="speaker") for _ in range(2)
    )

    def review(token: str, audience: str) -> client.V1TokenReviewStatus:
        spec = client.V1TokenReviewSpec(token=token, audiences=[audience])
        api = client.AuthenticationV1Api(cluster.admin)
        return api.create_token_review(client.V1TokenReview(spec=spec)).status

    user = review(token, "operator.avatars.dev").user
    assert user.extra["authentication.kubernetes.io/pod-uid"] == [uid]
    assert not review(token, "gateway.avatars.dev").authenticated
    cluster.rest.delete(f"/api/v1/namespaces/{namespace}/pods/speaker")
    # Of a token it has seen the API server knows no better for ten seconds; hence the other.
    assert not review(other, "operator.avatars.dev").authenticated, "a token dies with its pod"


def test_a_token_is_also_a_way_in(cluster: Cluster, namespace: str) -> None:
    path = cluster.token_kubeconfig(cluster.token(namespace))
    who = cluster.kubectl(
        f"--kubeconfig={path}", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"
    )
    assert who == f"system:serviceaccount:{namespace}:default"


def test_the_audit_log_tells_what_a_user_asked_and_nothing_of_the_cluster(
    cluster: Cluster, namespace: str
) -> None:
    user = f"auditor-of-{namespace}"
    began = datetime.now(UTC)
    cluster.kubectl("create", "rolebinding", "edit", "--clusterrole=edit", f"--user={user}", "-n", namespace)
    theirs = client.CoreV1Api(cluster.client(user))
    eventually(lambda: _may_list(theirs, namespace))
    theirs.create_namespaced_config_map(namespace, config_map("audited"))
    with pytest.raises(client.ApiException):
        theirs.create_namespaced_config_map(namespace, config_map("audited"))
    theirs.patch_namespaced_config_map("audited", namespace, {"data": {"a": "b"}})
    theirs.api_client.close()
    asked = [
        (each.verb, each.resource, each.name, each.code) for each in cluster.audit_log(user) if each.writes
    ]
    assert asked == [
        ("create", "configmaps", "audited", 201),
        ("create", "configmaps", "audited", 409),
        ("patch", "configmaps", "audited", 200),
    ]
    users = {request.user for request in cluster.audit_log(since=began)}
    assert user in users
    assert not [name for name in users if name == "admin" or name.startswith("system:kube")]


def test_custom_resources_are_ready_once_applied(cluster: Cluster, namespace: str) -> None:
    cluster.apply(WIDGETS)
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one"}}
    cluster.rest.post(f"/apis/example.com/v1/namespaces/{namespace}/widgets", widget)
    assert "one" in cluster.kubectl("get", "widgets", "-n", namespace)


@pytest.mark.slow
def test_a_namespace_vanishes_with_all_it_holds(cluster: Cluster) -> None:
    name = cluster.create_namespace("vanishing")
    cluster.rest.post(f"/api/v1/namespaces/{name}/configmaps", config_map("inside"))
    cluster.rest.delete(f"/api/v1/namespaces/{name}")
    eventually(lambda: name not in cluster.kubectl("get", "namespaces"))


def test_owners_take_their_dependents_along(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = cluster.rest.post(path, config_map("owner"))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    cluster.rest.post(path, config_map("dependent", ownerReferences=[reference]))
    cluster.rest.delete(f"{path}/owner")
    eventually(lambda: "dependent" not in str(cluster.rest.get(path)))


def test_two_clusters_side_by_side_know_nothing_of_each_other(cluster: Cluster, namespace: str) -> None:
    with Cluster.start() as other:
        assert other.url != cluster.url
        assert namespace not in other.kubectl("get", "namespaces")
        with pytest.raises(KubectlError, match=r"certificate|authorized"):
            other.kubectl(
                f"--kubeconfig={cluster.kubeconfig()}", f"--server={other.url}", "get", "namespaces"
            )


@pytest.mark.slow
def test_a_scheduler_says_that_there_is_no_node(cluster_tools: None) -> None:
    with Cluster.start(controllers=True, scheduler=True) as cluster:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "homeless"},
            "spec": {"containers": [{"name": "main", "image": "example.invalid/absent:1"}]},
        }
        pods = "/api/v1/namespaces/default/pods"
        cluster.rest.post(pods, pod)
        eventually(lambda: "Unschedulable" in str(cluster.rest.get(f"{pods}/homeless")["status"]))
        with cluster.kubelet("default"):
            eventually(
                lambda: cluster.rest.get(f"{pods}/homeless")["spec"].get("nodeName") == "node-of-default"
            )


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(cluster_tools: None) -> None:
    with pytest.raises(ServerError, match="unknown flag: --nonsense"):
        Cluster.start(flags={"kube-apiserver": ["--nonsense"]})
    with pytest.raises(RestError), Cluster.start() as cluster:
        cluster.rest.get("/api/v1/namespaces/absent")
    assert not cluster.folder.exists()
