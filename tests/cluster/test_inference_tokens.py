"""Who may call an inference server that asks for tokens: real ones, reviewed by a real API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.cluster import Cluster, Link
from tests.cluster.operators import CHART, binding
from tests.cluster.signed import altered
from tests.support.renders import Rendered, collect
from tests.support.sound import babble, pieces

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_inference.client import Flush, InferenceClient, RenderConfig
from avatar_inference.server import ServerSettings, serve

pytestmark = pytest.mark.cluster
AUDIENCE = "inference.avatars.dev"
USER = "inference-server"
CONFIG = RenderConfig(sample_rate=16_000)


@dataclass
class Asked:
    """A server that asks for tokens, and its way to the API server."""

    target: str
    cluster: Cluster
    link: Link
    namespace: str
    pods: int = 0

    def pod(self) -> str:
        """A new pod's name."""
        self.pods += 1
        name = f"caller-{self.pods}"
        spec = {"containers": [{"name": "c", "image": "example.invalid/absent:1"}], "nodeName": "nowhere"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.cluster.rest.post(f"/api/v1/namespaces/{self.namespace}/pods", pod)
        return name

    def token(self, audience: str = AUDIENCE) -> str:
        """A new pod's token."""
        return self.cluster.token(self.namespace, audience=audience, pod=self.pod())

    async def info(self, token: str) -> str:
        """Who answers `GetServerInfo`."""
        async with InferenceClient(self.target, token=lambda: token) as client:
            return (await client.info(timeout=60)).engine

    async def refusal(self, token: str) -> AvatarError:
        """How a caller with this token is refused."""
        with pytest.raises(AvatarError) as caught:
            await self.info(token)
        return caught.value


@pytest.fixture(scope="module")
def asked_cluster(cluster_tools: None) -> Iterator[tuple[Cluster, str]]:
    """A cluster in which `USER` has the server's rights and no more, and a namespace."""
    with Cluster.start(controllers=True) as cluster:
        cluster.apply(CHART / "files/rbac/inference.yaml")
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        cluster.rest.post(path, binding("ClusterRoleBinding", "avatar-inference", USER))
        yield cluster, cluster.create_namespace()


@pytest.fixture
async def asked(
    asked_cluster: tuple[Cluster, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Asked]:
    cluster, namespace = asked_cluster
    link = cluster.link()
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(USER, link=link)))
    settings = ServerSettings(port=0, bundle_store=tmp_path, token_audience=AUDIENCE)
    async with serve(settings) as running:
        yield Asked(running.target, cluster, link, namespace)
    remove_pods(cluster, namespace)


def remove_pods(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    for pod in cluster.rest.get(path)["items"]:
        cluster.rest.delete(f"{path}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})


async def test_a_pod_with_a_token_for_the_server_may_call(asked: Asked) -> None:
    token = asked.token()
    assert await asked.info(token) == "preview"
    async with InferenceClient(asked.target, token=lambda: token) as client:
        assert (await collect(client, CONFIG, pieces(babble(0.3, 16_000)))).result


async def test_every_call_asks_for_a_token(asked: Asked) -> None:
    async with InferenceClient(asked.target) as client:
        for call in (
            lambda: collect(client, CONFIG, pieces(babble(0.3, 16_000))),
            lambda: anext(client.prepare(pieces(babble(0.3, 16_000)))),  # type: ignore[arg-type]
            client.info,
        ):
            with pytest.raises(AvatarError) as caught:
                await call()
            assert caught.value.reason is Reason.UNAUTHENTICATED


async def test_other_tokens_are_refused(asked: Asked) -> None:
    namespace, good = asked.namespace, asked.token()
    gone = asked.pod()
    of_a_gone_pod = asked.cluster.token(namespace, audience=AUDIENCE, pod=gone)
    asked.cluster.rest.delete(f"/api/v1/namespaces/{namespace}/pods/{gone}", {"gracePeriodSeconds": 0})
    now = int(time.time())
    refused = {
        "of another audience": asked.token("gateway.avatars.dev"),
        "of the API server's audience": asked.token(""),
        "of no pod": asked.cluster.token(namespace, audience=AUDIENCE),
        "of a pod that is gone": of_a_gone_pod,
        "expired just now": altered(asked.cluster, good, iat=now - 700, nbf=now - 700, exp=now - 60),
        "expired long ago": altered(asked.cluster, good, iat=now - 9000, nbf=now - 9000, exp=now - 8000),
        "signed by another": f"{good.rpartition('.')[0]}.{'A' * 86}",
        "no JWT": "x" * 900,
        "too long": "x" * 7000,
    }
    for what, token in refused.items():
        assert (await asked.refusal(token)).reason is Reason.UNAUTHENTICATED, what
    still = altered(asked.cluster, good, exp=now + 60)
    assert await asked.info(still) == "preview", "what is altered must be well signed, or nothing is shown"


async def test_health_and_reflection_ask_for_nothing(asked: Asked) -> None:
    async with grpc.aio.insecure_channel(asked.target) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        assert [each async for each in call]


async def test_while_the_api_server_is_down_known_callers_go_on(asked: Asked) -> None:
    known, unknown = asked.token(), asked.token()
    assert await asked.info(known) == "preview"
    with asked.link.refused():
        refusal = await asked.refusal(unknown)
        assert refusal.reason is Reason.CLUSTER_UNAVAILABLE
        assert refusal.info.grpc == "UNAVAILABLE"
        assert refusal.retry_after
        assert await asked.info(known) == "preview"
    assert await asked.info(unknown) == "preview"


async def test_a_stream_that_was_accepted_stays(asked: Asked) -> None:
    token, go_on, seen = asked.token(), asyncio.Event(), Rendered()

    async def held() -> AsyncIterator[bytes | Flush]:
        yield babble(0.3, 16_000)
        await go_on.wait()
        yield babble(0.3, 16_000)

    async with InferenceClient(asked.target, token=lambda: token) as client:
        rendering = asyncio.create_task(collect(client, CONFIG, held(), seen))
        async with asyncio.timeout(20):
            while seen.accepted is None:
                await asyncio.sleep(0.01)
        remove_pods(asked.cluster, asked.namespace)
        with asked.link.refused():
            go_on.set()
            assert (await rendering).result


async def test_plain_text_on_an_open_address_still_needs_consent(tmp_path: Path) -> None:
    settings = ServerSettings(host="0.0.0.0", port=0, bundle_store=tmp_path, token_audience=AUDIENCE)
    with pytest.raises(InvalidInputError, match="--insecure"):
        async with serve(settings):
            pass
