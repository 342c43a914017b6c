from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.inference_process import InferenceProcess, inference_process
from tests.support.sessions import Run

from avatar_core.store import ObjectStore
from avatar_session import attempts
from avatar_session.retry import RetryPolicy


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceProcess]:
    """A real inference server, one for all tests."""
    with inference_process(tmp_path_factory.mktemp("inference")) as running:
        yield running


@pytest.fixture
def run(server: InferenceProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs sessions against the real server and a folder; waits between tries are short."""
    for name in ("PROVIDERS", "RENDERS", "ATTEMPTS"):
        policy: RetryPolicy = getattr(attempts, name)
        monkeypatch.setattr(attempts, name, RetryPolicy(policy.tries, first=0.05, longest=0.1))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return Run.at(ObjectStore(str(tmp_path / "store")), server.target)
