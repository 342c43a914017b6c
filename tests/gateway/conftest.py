"""A gateway's application over a real folder, and an API server that is played."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestServer
from tests.support.tokens import unsigned

from avatar_core.cluster.kube import GoneError, Kube, KubeError
from avatar_core.cluster.tokens import Tokens
from avatar_core.links import SignedLinks
from avatar_core.store import ObjectStore
from avatar_core.tracing import spans_of
from avatar_gateway.bundles import Bundles
from avatar_gateway.front import Front
from avatar_gateway.metrics import Metrics
from avatar_gateway.objects import Objects
from avatar_gateway.owners import Owners
from avatar_gateway.permissions import Permissions
from avatar_gateway.slots import Slots
from avatar_gateway.videos import Videos
from avatar_gateway.viewers import Viewers
from avatar_session.gateway_store import GatewayStore

AUDIENCE = "gateway.avatars.dev"
UID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
FOLDER = f"ns/{UID}"
GOOD, BAD = (unsigned(AUDIENCE, signature=name) for name in ("good", "bad"))
LIMIT = 8 * 1024 * 1024
UPLOADS = 2
VIEWERS = 3
KEYS = {"1": b"1" * 32, "next": b"2" * 40}


@dataclass
class FakeKube:
    """Knows one token, its pod `worker`, that pod's Job, and the Job's session."""

    asked: list[str] = field(default_factory=list)
    down: bool = False
    account: str = "avatar-session"
    pod_uid: str = "pod-uid"
    job_owner: dict[str, Any] = field(
        default_factory=lambda: {
            "apiVersion": "avatars.dev/v1alpha1",
            "kind": "AvatarSession",
            "name": "hello",
            "uid": UID,
            "controller": True,
        }
    )
    other_job: Any = None
    pod_owner: dict[str, Any] = field(
        default_factory=lambda: {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": "job",
            "uid": "job-uid",
            "controller": True,
        }
    )

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._asked(path)
        if body["spec"]["token"] != GOOD:
            return {"status": {"authenticated": False}}
        extra = {
            "authentication.kubernetes.io/pod-name": ["worker"],
            "authentication.kubernetes.io/pod-uid": ["pod-uid"],
        }
        user = {"username": f"system:serviceaccount:ns:{self.account}", "extra": extra}
        return {"status": {"authenticated": True, "audiences": [AUDIENCE], "user": user}}

    async def get(self, path: str) -> dict[str, Any]:
        self._asked(path)
        if path == "/api/v1/namespaces/ns/pods/worker":
            return {"metadata": {"uid": self.pod_uid, "ownerReferences": [self.pod_owner]}}
        if path == "/apis/batch/v1/namespaces/ns/jobs/job":
            return {"metadata": {"uid": "job-uid", "ownerReferences": [self.job_owner]}}
        if path.startswith("/apis/batch/v1/namespaces/ns/jobs/") and self.other_job is not None:
            return cast("dict[str, Any]", self.other_job)
        raise GoneError(404, "NotFound", path)

    def _asked(self, path: str) -> None:
        self.asked.append(path)
        if self.down:
            raise KubeError(0, "ClientConnectorError", "no")


@dataclass
class Gateway:
    """A served application."""

    kube: FakeKube
    url: str
    folder: Path
    port: int
    now: float = 0
    wall: float = 1_000_000
    metrics: Metrics = field(default_factory=Metrics)

    def store(self, token: str = GOOD, tries: int = 3) -> GatewayStore:
        return GatewayStore(self.url, lambda: token, tries)

    def link(self, kid: str = "1", uid: str = UID, expires_at: int = 1_000_060) -> str:
        """A good link."""
        return SignedLinks(self.url, kid, KEYS[kid]).url("ns", uid, expires_at)

    def names(self) -> set[str]:
        """Of all files below the store's folder, half-written ones too."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """One whose reader is the account `ns:reader`."""
    kube = FakeKube()
    made = Gateway(kube, "", tmp_path / "store", 0)
    as_kube = cast("Kube", kube)
    tokens = Tokens(as_kube, AUDIENCE, lambda: made.now)
    permissions = Permissions(tokens, Owners(as_kube, lambda: made.now), ["ns:reader"])
    store = ObjectStore(str(made.folder))
    metrics = Metrics()
    uploads, videos = Slots(UPLOADS, "uploads"), Videos(store, Slots(VIEWERS, "viewers"), metrics)
    spans = spans_of(os.environ, "avatar-gateway")
    doors = [
        Objects(store, permissions, LIMIT, uploads, metrics, spans).door(),
        Bundles(store, tokens, ["ns:keeper"], LIMIT, uploads, metrics).door(),
        Viewers(videos, KEYS.values, lambda: made.wall).door(),
    ]
    made.metrics = metrics
    server = TestServer(Front(doors, metrics).application())
    await server.start_server(lingering_time=0.5, access_log=None)
    made.url, made.port = f"http://127.0.0.1:{server.port}", server.port or 0
    yield made
    await server.close()
    spans.close(1)
