"""What the client sends to prove who calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from avatar_core.errors import AvatarError
from avatar_inference.client import InferenceClient, RenderConfig
from avatar_protos.v1alpha1 import lip_sync_pb2 as pb
from avatar_protos.v1alpha1 import lip_sync_pb2_grpc as pb_grpc


class Doorkeeper(pb_grpc.LipSyncServiceServicer):
    """Keeps what callers say of themselves, and draws nothing."""

    def __init__(self) -> None:
        self.said: list[str | None] = []

    def _note(self, context: grpc.aio.ServicerContext) -> None:
        self.said.append(dict(context.invocation_metadata() or ()).get("authorization"))

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetServerInfoResponse:
        self._note(context)
        return pb.GetServerInfoResponse()

    async def Render(self, requests: object, context: grpc.aio.ServicerContext) -> None:
        self._note(context)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

    async def PrepareAvatar(self, requests: object, context: grpc.aio.ServicerContext) -> None:
        self._note(context)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")


@pytest.fixture
async def door() -> AsyncIterator[tuple[Doorkeeper, str]]:
    keeper, server = Doorkeeper(), grpc.aio.server()
    pb_grpc.add_LipSyncServiceServicer_to_server(keeper, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield keeper, f"127.0.0.1:{port}"
    await server.stop(0)


async def silence() -> AsyncIterator[bytes]:
    yield bytes(640)


async def test_the_token_is_asked_for_at_every_call(door: tuple[Doorkeeper, str]) -> None:
    keeper, target = door
    tokens = iter(["one", "two", "three", ""])
    async with InferenceClient(target, token=lambda: next(tokens)) as client:
        await client.info()
        with pytest.raises(AvatarError):
            await anext(client.render(RenderConfig(sample_rate=16_000), silence()))
        with pytest.raises(AvatarError):
            await anext(client.prepare(silence()))
        await client.info()
    assert keeper.said == ["Bearer one", "Bearer two", "Bearer three", None]


async def test_without_a_token_nothing_is_said(door: tuple[Doorkeeper, str]) -> None:
    keeper, target = door
    async with InferenceClient(target) as client:
        await client.info()
    assert keeper.said == [None]
