"""What the images promise to whoever runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import tomllib
from pathlib import Path

import pytest
from tests.images.conftest import folder_of_packages
from tests.images.unpacked import Unpacked

pytestmark = [pytest.mark.images, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SPDX = "opt/avatar/share/sbom.spdx.json"
OPERATOR_BYTES_MAX = 250_000_000
ENTRIES = {
    "avatar-operator": [
        "avatar_operator.main",
        "avatar_operator.link_key",
        "avatar_gateway.main",
        "avatar_session.cluster_run",
        "avatar_session.preparation",
        "avatar_session.sweep",
        "avatar_session.empty_folders",
        "avatar_session.openai_client",
        "avatar_cli.dry_run",
        "avatar_cli.cluster.connection",
        "avatar_core.otlp",
    ],
    "avatar-inference": [
        "avatar_inference.server",
        "avatar_core.cluster.tokens",
        "avatar_cli.commands.serve",
        "avatar_core.otlp",
    ],
}
# Nothing is compiled when a process begins: on a read-only disk that would be so each time.
IMPORT = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
late = [m.__name__ for m in list(sys.modules.values())
        if (c := getattr(m, "__cached__", None)) and c.startswith("/opt") and not os.path.exists(c)]
assert not late, late
try:
    open("/opt/avatar/written", "w")
except OSError:
    print(os.getpid(), os.getuid(), os.getgid())
"""

LATER = """
import openai
from kubernetes import client
client.CustomObjectsApi(client.ApiClient())
openai.AsyncOpenAI(api_key="k").chat.completions.create
"""


def test_labels_tell_what_it_is(image: Unpacked) -> None:
    labels = {
        key.removeprefix("org.opencontainers.image."): value for key, value in image.config["Labels"].items()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels["version"] == project["version"]
    assert labels["licenses"].startswith("Apache-2.0 AND GPL-")
    assert labels["revision"] not in ("", "unknown")
    assert {"title", "description", "source"} <= labels.keys()


def test_it_belongs_to_nobody_and_raises_nobody(image: Unpacked) -> None:
    assert image.config["User"] == "65532:65532"
    ours = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert len(ours) > 1000
    assert not [path for path in ours if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)]


@pytest.mark.parametrize(("name", "module"), [(n, m) for n, modules in ENTRIES.items() for m in modules])
def test_processes_begin_on_a_read_only_disk(images: dict[str, Unpacked], name: str, module: str) -> None:
    ran = images[name].run("python", "-c", IMPORT, module)
    assert ran.stdout.split() == ["1", "65532", "65532"], ran.stderr


@pytest.mark.parametrize("module", ["torch", "cv2", "PIL", "transformers", "pip", "setuptools"])
def test_the_operators_image_holds_nothing_that_draws_or_installs(
    operator_image: Unpacked, module: str
) -> None:
    ran = operator_image.run("python", "-c", f"import {module}")
    assert "ModuleNotFoundError" in ran.stderr


def test_what_sessions_use_in_the_middle_of_their_work_is_there(operator_image: Unpacked) -> None:
    ran = operator_image.run("avatar", "doctor")
    assert "with libx264 and aac" in ran.stdout
    assert "espeak-ng, built in; spoke" in ran.stdout
    parts = "from kubernetes import client as c; c.CustomObjectsApi(c.ApiClient()); import openai; "
    ran = operator_image.run(
        "python", "-c", parts + "openai.AsyncOpenAI(api_key='k').chat.completions.create"
    )
    assert ran.returncode == 0, ran.stderr


def test_spans_are_made_of_what_is_left_of_their_library(image: Unpacked) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    program = (
        f"from avatar_core.tracing import spans_of; spans = spans_of({asked}, 'x');"
        "span = spans.begin('a', {'b': 1}); span.end('Internal'); print(span.traceparent[:3]); spans.close(1)"
    )
    ran = image.run("python", "-c", program)
    assert ran.stdout.strip() == "00-", ran.stderr
    assert "ModuleNotFoundError" not in ran.stderr


def test_the_bill_of_materials_names_what_is_installed(image: Unpacked) -> None:
    document = json.loads((image.root / SPDX).read_text())
    assert document["spdxVersion"] == "SPDX-2.3"
    named = {(one["name"], one["versionInfo"]) for one in document["packages"]}
    folders = folder_of_packages(image).glob("*.dist-info/METADATA")
    lines = [path.read_text().splitlines() for path in folders]
    installed = {(_field(one, "Name"), _field(one, "Version")) for one in lines}
    assert named == installed
    assert len({one["SPDXID"] for one in document["packages"]}) == len(named) > 20


def test_the_operators_image_is_small(images: dict[str, Unpacked]) -> None:
    base = images["avatar-inference"].layers.keys()
    own = sum(size for name, size in images["avatar-operator"].layers.items() if name not in base)
    assert 0 < own < OPERATOR_BYTES_MAX


def test_the_first_process_ends_when_told(operator_image: Unpacked) -> None:
    folder = "11111111-2222-3333-4444-555555555555"
    (operator_image.root / "folders.json").write_text(json.dumps([f"ns/{folder}"]))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        store = {
            "AVATAR_STORE": "s3://videos",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "one",
            "AWS_SECRET_ACCESS_KEY": "two",
            "AWS_REGION": "here",
        }
        command = ["python", "-m", "avatar_session.empty_folders", "--folders", "/folders.json"]
        with operator_image.start(*command, **store) as running, silent.accept()[0]:
            (first,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            os.kill(int(first), signal.SIGTERM)
            assert running.wait(60) == 143


def _field(lines: list[str], name: str) -> str:
    return next(line for line in lines if line.startswith(f"{name}: ")).split(": ", 1)[1]
