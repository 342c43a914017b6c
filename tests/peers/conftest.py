"""Real peers: an S3 server and an OpenAI-compatible LLM server, each started once per test process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.session.conftest import run, server  # noqa: F401  # fixtures
from tests.support.peers import (
    LITELLM,
    VERSITYGW,
    answers,
    free_port,
    listens,
    plain_environment,
    running,
    tool,
)

REPLY = (
    "Hello! I am glad you asked. **Dr. Smith** paid 3.50 dollars for it, e.g. at https://example.com/shop. "
    "That is all."
)
LONG_REPLY = " ".join(f"This is sentence number {number} of a long reply." for number in range(1, 5))


@dataclass(frozen=True)
class S3Server:
    """A running versitygw."""

    port: int
    folder: Path
    access: str = "test-access"
    secret: str = "test-secret"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs; always with credentials, or it would ask the cloud for some."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


def _versitygw(folder: Path, *options: str) -> Iterator[S3Server]:
    gateway = S3Server(free_port(), folder)
    (folder / "videos").mkdir(parents=True)
    command = [tool(VERSITYGW), "--port", f"127.0.0.1:{gateway.port}", "--quiet", *options, "posix", folder]
    keys = {"ROOT_ACCESS_KEY": gateway.access, "ROOT_SECRET_KEY": gateway.secret}
    with running(
        command, lambda: listens(gateway.port), folder.with_suffix(".log"), plain_environment(**keys)
    ):
        yield gateway


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with a bucket "videos"."""
    yield from _versitygw(tmp_path_factory.mktemp("s3") / "data")


@pytest.fixture(scope="session")
def read_only_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server that takes nothing."""
    yield from _versitygw(tmp_path_factory.mktemp("s3-read-only") / "data", "--readonly")


@pytest.fixture(params=["s3_server"])
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, its address and credentials in the environment."""
    gateway: S3Server = request.getfixturevalue(request.param)
    for name, value in gateway.environment.items():
        monkeypatch.setenv(name, value)
    return gateway


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a real LiteLLM proxy; its models are `MODELS`."""
    folder, port = tmp_path_factory.mktemp("litellm"), free_port()
    models = {
        "mock": {"mock_response": REPLY},
        "long": {"mock_response": LONG_REPLY},
        "limited": {"mock_response": "litellm.RateLimitError"},
        "broken": {"mock_response": "litellm.InternalServerError"},
        "slow": {"mock_response": REPLY, "mock_delay": 8},
    }
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": "openai/any", "api_key": "x", **parameters}}
            for name, parameters in models.items()
        ],
        "router_settings": {"num_retries": 0},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "general_settings": {"master_key": "sk-test-master-key"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [tool(LITELLM), "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = plain_environment(LITELLM_LOCAL_MODEL_COST_MAP="True", NO_PROXY="*")
    url = f"http://127.0.0.1:{port}"
    with running(command, lambda: answers(f"{url}/health/liveliness"), folder / "litellm.log", environment):
        yield f"{url}/v1"
