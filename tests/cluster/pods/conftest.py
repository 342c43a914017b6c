"""Everything a session needs, real: API server, operator, gateway, inference server; a scripted LLM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster import Cluster, eventually
from tests.cluster.gateways import GatewayProcess, gateway_process
from tests.cluster.inference_servers import inference_server
from tests.cluster.operators import CRDS, Replica, World, a_world
from tests.cluster.pod_processes import PodProcesses, RunningPod, survivors
from tests.cluster.pods.providers import KEY, good_reply
from tests.support.provider_thread import ThreadedProvider, threaded_provider

LOOPBACK = {"allow": ["127.0.0.0/8", "::1/128"]}
"""Sources are served on this machine."""


@dataclass
class Place:
    """A world in which pods really run."""

    world: World
    operator: Replica
    gateway: GatewayProcess
    node: PodProcesses
    release: PodProcesses
    llm: ThreadedProvider

    def apply(self, name: str, **spec: object) -> str:
        """Applies a session with an English voice; returns its uid."""
        return str(self.world.apply(name, speech={"voice": "en-us"}, **spec)["metadata"]["uid"])

    def folder(self, uid: str) -> Path:
        """A session's folder in the store."""
        return self.gateway.store / self.world.namespace / uid

    def first_pod(self, session: str) -> RunningPod:
        """Its first pod, once its process runs."""
        return eventually(lambda: next((p for p in self.node.pods_of(session) if p.process), None))


@pytest.fixture(scope="module")
def place(cluster_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with (
        Cluster.start(controllers=True, manifests=[CRDS]) as cluster,
        inference_server(cluster, folder / "inference") as inference,
        threaded_provider(good_reply) as llm,
        a_world(cluster, folder) as world,
        gateway_process(cluster, folder, [world.namespace], [f"{world.release}:default"]) as gateway,
        PodProcesses(cluster, world.namespace, folder / "pods") as node,
        PodProcesses(cluster, world.release, folder / "pods-of-release") as release,
    ):
        _make_providers(world, llm.url)
        sessions = {
            "gatewayUrl": gateway.url,
            "inferenceAddress": inference.target,
        }
        cleanup = {
            "image": "example.invalid/session:1",
            "env": [{"name": "AVATAR_STORE", "value": str(gateway.store)}],
        }
        token = folder / "token-of-the-operator"
        token.write_text(_token_of_the_operator(world))
        asked = {"url": gateway.url, "tokenFile": str(token)}
        operator = world.start(sessions=sessions, cleanup=cleanup, gateway=asked, fetch=LOOPBACK)
        yield Place(world, operator, gateway, node, release, llm)
        assert operator.errors == []
    assert survivors(folder) == []


def _token_of_the_operator(world: World) -> str:
    """For the gateway; bound to a pod of the release, as the operator's own would be."""
    spec = {"containers": [{"name": "operator", "image": "example.invalid/absent:1"}], "nodeName": "nowhere"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": spec}
    world.cluster.rest.post(f"/api/v1/namespaces/{world.release}/pods", pod)
    return world.cluster.token(world.release, audience="gateway.avatars.dev", pod="operator")


def _make_providers(world: World, url: str) -> None:
    """`default`, which needs the key `key` of the Secret `llm`, and others that differ in one thing."""
    rest, namespace = world.cluster.rest, world.namespace
    secret = {"metadata": {"name": "llm"}, "stringData": {"key": KEY, "wrong": "sk-a-wrong-one"}}
    rest.post(f"/api/v1/namespaces/{namespace}/secrets", {"apiVersion": "v1", "kind": "Secret", **secret})
    for name, (base_url, key, speech) in {
        "default": (url, "key", {}),
        "wrong": (url, "wrong", {}),
        "keyless": (url, "absent", {}),
        "down": ("http://127.0.0.1:1/v1", "key", {}),
        "voiced": (url, "key", {"type": "openai", "baseURL": url}),
    }.items():
        reference = {"name": "llm", "key": key}
        document = {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarProvider",
            "metadata": {"name": name},
            "spec": {
                "llm": {"baseURL": base_url, "model": "fake", "apiKeySecretRef": reference},
                "speech": speech,
            },
        }
        rest.post(f"/apis/avatars.dev/v1alpha1/namespaces/{namespace}/avatarproviders", document)


@pytest.fixture(autouse=True)
def _as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test breaks is whole for the next one."""
    yield
    if "place" in request.fixturenames:
        place: Place = request.getfixturevalue("place")
        place.llm.handler, place.node.overrides = good_reply, {}
