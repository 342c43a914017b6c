"""The server as an operator of it sees it: health, reflection, information, TLS, metrics, addresses."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.renders import collect
from tests.support.sound import babble, pieces

from avatar_core.errors import AvatarError, InferenceError, InvalidInputError, Reason
from avatar_inference.client import InferenceClient, RenderConfig
from avatar_inference.listening import Tls
from avatar_inference.server import LIVENESS, SERVICE, Running, ServerSettings, serve
from avatar_inference.worker import EngineWorker


async def test_it_tells_what_it_is(client: InferenceClient) -> None:
    info = await client.info()
    assert (info.engine, info.max_batch, info.active_renders, info.draining) == ("preview", 8, 0, False)
    assert list(info.builtin_avatars) == ["ava"]
    assert info.version
    await collect(client, RenderConfig(sample_rate=16000), pieces(babble(0.3, 16000)))
    assert (await client.info()).frames_per_second > 0


async def test_health_is_told_for_server_and_service(server: Running) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE, LIVENESS):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_server_that_can_draw_no_more_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_worker: EngineWorker) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(EngineWorker, "step", broken)
    async with (
        serve(ServerSettings(port=0, bundle_store=tmp_path)) as running,
        grpc.aio.insecure_channel(running.target) as channel,
        asyncio.timeout(10),
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE, LIVENESS):
            asked = health_pb2.HealthCheckRequest(service=name)
            while (await stub.Check(asked)).status != health_pb2.HealthCheckResponse.NOT_SERVING:
                await asyncio.sleep(0.01)
    assert "the engine's loop broke" in caplog.text


async def test_reflection_lists_the_service(server: Running) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        names = [s.name async for answer in call for s in answer.list_services_response.service]
    assert SERVICE in names


async def test_metrics_count_renders_by_reason(server: Running, client: InferenceClient) -> None:
    await collect(client, RenderConfig(sample_rate=16000), pieces(babble(0.3, 16000)))
    with pytest.raises(InvalidInputError):
        await collect(client, RenderConfig(sample_rate=1), pieces(babble(0.1, 16000)))

    def read() -> str:
        with urlopen(f"http://{server.metrics_target}/metrics", timeout=5) as page:
            text: str = page.read().decode()
            return text

    text = await asyncio.to_thread(read)
    assert 'avatar_inference_renders_total{reason="Succeeded"} 1.0' in text
    assert 'avatar_inference_renders_total{reason="InvalidArgument"} 1.0' in text
    assert "avatar_inference_renders_active 0.0" in text


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> Tls:
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return Tls(tmp_path / "cert.pem", tmp_path / "key.pem")


async def test_tls(authority: trustme.CA, tls: Tls, tmp_path: Path) -> None:
    roots = authority.cert_pem.bytes()
    async with serve(ServerSettings(port=0, bundle_store=tmp_path, tls=tls)) as running:
        async with InferenceClient(running.target, root_certificates=roots) as client:
            assert (await client.info(timeout=10)).engine == "preview"
        other = trustme.CA().cert_pem.bytes()
        async with InferenceClient(running.target, root_certificates=other) as stranger:
            with pytest.raises(InferenceError) as caught:
                await stranger.info(timeout=10)
    assert caught.value.reason is Reason.INFERENCE_UNAVAILABLE


async def test_tls_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for name in ("junk.pem", "missing.pem"):
        tls = Tls(tmp_path / name, tmp_path / name)
        with pytest.raises(AvatarError) as caught:
            async with serve(ServerSettings(port=0, bundle_store=tmp_path, tls=tls)):
                pass
        assert caught.value.reason is Reason.INVALID_ARGUMENT
        assert name in str(caught.value)


async def test_a_taken_port_is_named(server: Running, tmp_path: Path) -> None:
    port = int(server.target.rsplit(":", 1)[1])
    with pytest.raises(AvatarError, match=f"can't listen on 127.0.0.1:{port}"):
        async with serve(ServerSettings(port=port, bundle_store=tmp_path)):
            pass


async def test_a_taken_metrics_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            AvatarError, match=f"can't serve metrics on 127.0.0.1:{port}.*--no-metrics"
        ) as caught:
            async with serve(ServerSettings(port=0, metrics_port=port, bundle_store=tmp_path)):
                pass
    assert caught.value.reason is Reason.INVALID_ARGUMENT


async def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="must be preview"):
        async with serve(ServerSettings(port=0, bundle_store=tmp_path, engine="psychic")):
            pass


WITHOUT_KUBERNETES = """
import asyncio, sys
from pathlib import Path
sys.modules["kubernetes"] = None
from avatar_core.errors import AvatarError
from avatar_inference.server import ServerSettings, serve

async def main(audience):
    async with serve(ServerSettings(port=0, bundle_store=Path(sys.argv[1]), token_audience=audience)):
        print("serving")

asyncio.run(main(""))
try:
    asyncio.run(main("a"))
except AvatarError as error:
    print(error.reason, error)
"""


def test_without_the_kubernetes_client_it_serves_and_asks_for_no_tokens(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_KUBERNETES, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    first, second = ran.stdout.splitlines()
    assert first == "serving"
    assert second.startswith("MissingDependency")
    assert "install avatar-operator[operator]" in second
