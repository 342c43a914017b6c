"""What can be done to a cluster, and what its clients see of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import urllib3
from kubernetes import client, watch
from tests.cluster import RUNNING, Cluster, Link, Refusal, Rest, RestError
from tests.cluster.jobs import config_map, job
from tests.cluster.patience import eventually

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def own(cluster_tools: None) -> Iterator[Cluster]:
    """A cluster of this file: others would notice what happens to it."""
    with Cluster.start(controllers=True) as running:
        yield running


@pytest.fixture
def place(own: Cluster) -> str:
    return own.create_namespace()


@pytest.fixture
def link(own: Cluster) -> Iterator[Link]:
    through = own.link()
    yield through
    through.close()


def far_client(own: Cluster, link: Link) -> client.CoreV1Api:
    """An administrator at the far end of a link, who tries once."""
    api = own.client("admin", link=link)
    api.configuration.retries = False
    return client.CoreV1Api(client.ApiClient(api.configuration))


def test_a_restarted_api_server_has_its_data_and_controllers_go_on(own: Cluster, place: str) -> None:
    url = own.url
    own.rest.post(f"/api/v1/namespaces/{place}/configmaps", config_map("kept"))
    own.restart_api_server()
    assert own.url == url
    assert "kept" in str(own.rest.get(f"/api/v1/namespaces/{place}/configmaps"))
    own.rest.post(f"/apis/batch/v1/namespaces/{place}/jobs", job("after"))
    with own.kubelet(place) as kubelet:
        assert kubelet.pod("job-name=after", seconds=60)


def test_a_played_kubelet_survives_a_restart(own: Cluster, place: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{place}/jobs"
    with own.kubelet(place) as kubelet:
        own.restart_api_server()
        own.rest.post(jobs, job("brief"))
        pod = kubelet.pod("job-name=brief", seconds=60)
        kubelet.play(pod, RUNNING)
        own.rest.delete(f"/api/v1/namespaces/{place}/pods/{pod}")
        eventually(lambda: pod not in str(own.rest.get(f"/api/v1/namespaces/{place}/pods")))


def test_without_etcd_nothing_is_written_and_nothing_is_lost(own: Cluster, place: str) -> None:
    maps = f"/api/v1/namespaces/{place}/configmaps"
    own.rest.post(maps, config_map("before"))
    own.stop_etcd()
    with pytest.raises(RestError):
        own.rest.post(maps, config_map("meanwhile"), timeout="2s")
    own.start_etcd()
    own.rest.post(maps, config_map("after"))
    names = [each["metadata"]["name"] for each in own.rest.get(maps)["items"]]
    assert {"before", "after"} <= set(names)


def test_an_old_version_is_gone_once_history_is_forgotten(own: Cluster, place: str) -> None:
    maps = f"/api/v1/namespaces/{place}/configmaps"
    old = own.rest.post(maps, config_map("old"))["metadata"]["resourceVersion"]
    own.rest.post(maps, config_map("new"))
    with own.rest.watch(maps, resourceVersion=old) as (events, _):
        assert next(events)["object"]["metadata"]["name"] == "new"
    own.forget_history()
    with own.rest.watch(maps, resourceVersion=old) as (events, _):
        seen = next(events)
    assert seen["type"] == "ERROR"
    assert seen["object"]["code"] == 410


@pytest.mark.parametrize(
    ("code", "reason"), [(409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError")]
)
def test_every_other_write_of_a_user_may_be_refused(own: Cluster, place: str, code: int, reason: str) -> None:
    user = f"unlucky-{code}"
    path = f"/api/v1/namespaces/{place}/configmaps"
    own.kubectl("create", "rolebinding", "edit", "--clusterrole=edit", f"--user={user}", "-n", place)
    unlucky = own.rest_of(user)
    eventually(lambda: _may_read(unlucky, path))
    with own.refusing(user, Refusal(code, one_in=2, retry_after=1)):
        unlucky.post(path, config_map("first"))
        with pytest.raises(RestError) as refused:
            unlucky.post(path, config_map("second"))
        assert unlucky.get(path)
        assert own.rest.post(path, config_map("of-the-admin"))
    assert (refused.value.code, refused.value.reason, refused.value.retry_after) == (code, reason, 1)
    assert "second" not in str(own.rest.get(path))
    unlucky.post(path, config_map("third"))
    assert [request.code for request in own.audit_log(user) if request.writes] == [201, code, 201]


def _may_read(rest: Rest, path: str) -> bool:
    try:
        return bool(rest.get(path))
    except RestError:
        return False


def _answers(api: client.CoreV1Api, place: str) -> bool:
    try:
        api.list_namespaced_config_map(place)
    except (client.ApiException, urllib3.exceptions.HTTPError):
        return False
    return True


def test_a_cut_ends_watches_and_the_next_request_gets_through(own: Cluster, place: str, link: Link) -> None:
    api = far_client(own, link)
    ended = threading.Event()

    def follow() -> None:
        try:
            for _ in watch.Watch().stream(api.list_namespaced_config_map, place, timeout_seconds=30):
                pass
        except (urllib3.exceptions.HTTPError, OSError):
            ended.set()

    follower = threading.Thread(target=follow)
    follower.start()
    eventually(lambda: link.connections == 1)
    own.cut_watches()
    follower.join(10)
    assert ended.is_set()
    assert link.connections == 0
    assert _answers(api, place)


def test_a_refused_client_is_alone_with_it(own: Cluster, place: str, link: Link) -> None:
    api = far_client(own, link)
    assert _answers(api, place)
    with link.refused():
        assert not _answers(api, place)
        assert own.rest.get(f"/api/v1/namespaces/{place}")
    assert _answers(api, place)


def test_a_stalled_link_keeps_its_connections_and_hands_over_nothing(
    own: Cluster, place: str, link: Link
) -> None:
    api = far_client(own, link)
    assert _answers(api, place)
    with link.stalled():
        with pytest.raises(urllib3.exceptions.HTTPError):
            api.list_namespaced_config_map(place, _request_timeout=0.3)
        assert link.connections
    assert _answers(api, place)


def test_a_delay_is_felt_by_each_request(own: Cluster, place: str, link: Link) -> None:
    api = far_client(own, link)
    assert _answers(api, place)
    link.delay = 0.2
    began = time.monotonic()
    assert _answers(api, place)
    assert time.monotonic() - began >= 0.4  # there and back


def test_a_frozen_api_server_answers_nothing_until_it_is_thawed(own: Cluster, place: str, link: Link) -> None:
    api = far_client(own, link)
    with own.frozen(), pytest.raises(urllib3.exceptions.HTTPError):
        api.list_namespaced_config_map(place, _request_timeout=0.3)
    assert eventually(lambda: _answers(api, place))
