"""Providers on a real API server: judged, fixed, and waited for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster import Kubelet, eventually
from tests.cluster.operators import World

pytestmark = pytest.mark.cluster

KEY = {"name": "openai", "key": "token"}


def llm(url: str) -> dict[str, Any]:
    return {"model": "m", "baseURL": url, "apiKeySecretRef": KEY}


def test_a_provider_that_is_fixed_wakes_who_waits_for_it(world: World, kubelet: Kubelet) -> None:
    replica = world.start()
    world.apply_resource("AvatarProvider", "cloud", llm=llm("http://api.example/v1"))
    status = world.until_ready("avatarproviders", "cloud", "False", "InsecureURL")
    told = status["conditions"][0]["message"]
    assert told.startswith("spec.llm.baseURL: http://api.example/v1 would get the key of")
    assert world.events("cloud") == [("Warning", "InsecureURL")]
    world.apply("asks", prompt="Hi", providerRef={"name": "cloud"})
    waiting = world.until("Unknown", "ProviderNotReady", "asks")
    assert told.split(";")[0][:40] in waiting["conditions"][0]["message"]
    assert world.jobs_of("asks") == []
    world.apply_resource("AvatarProvider", "cloud", llm=llm("https://api.example/v1"))
    status = world.until_ready("avatarproviders", "cloud", "True", "Accepted")
    assert status["observedGeneration"] == 2
    kubelet.pod("avatars.dev/session=asks")
    assert eventually(lambda: world.events("cloud")[-1] == ("Normal", "Accepted"))
    assert replica.errors == []


def test_a_service_of_the_cluster_needs_no_tls(world: World) -> None:
    world.start()
    world.apply_resource("AvatarProvider", "default", llm=llm("http://vllm.models.svc:8000/v1"))
    world.until_ready("avatarproviders", "default", "True", "Accepted")
