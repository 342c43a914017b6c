"""Programs that are told to end while they wait for others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

UID = "11111111-2222-3333-4444-555555555555"
LIMIT = 60.0


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT)
        yield listening


def test_a_clean_up_that_waits_for_its_store_ends_when_told(tmp_path: Path, silent: socket.socket) -> None:
    folders = tmp_path / "folders.json"
    folders.write_text(json.dumps([f"ns/{UID}"]))
    store = {
        "AVATAR_STORE": "s3://videos",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "one",
        "AWS_SECRET_ACCESS_KEY": "two",
        "AWS_REGION": "here",
    }
    command = [sys.executable, "-m", "avatar_session.empty_folders", "--folders", str(folders)]
    with subprocess.Popen(command, env={**os.environ, **store}) as running:
        connection, _ = silent.accept()
        with connection:
            running.terminate()
            assert running.wait(LIMIT) == 143


@pytest.mark.parametrize("name", ["avatar_operator", "avatar_gateway"])
def test_servers_end_when_told_while_they_begin(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "configuration"
    os.mkfifo(pipe)  # it is opened for reading, and nobody writes
    command = [sys.executable, "-m", name, "--config", str(pipe)]
    with subprocess.Popen(command) as running, pipe.open("w"):  # returns once the other end was opened
        running.terminate()
        assert running.wait(LIMIT) == 143
