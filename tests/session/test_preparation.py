"""The pod that prepares an avatar, as a process: a real source by HTTPS, a real inference server."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.support.https_server import HttpsServer, https_server
from tests.support.inference_process import InferenceProcess
from tests.support.portraits import astronaut, faceless

from avatar_inference.client import Finding, Prepared
from avatar_operator.avatars.objects import AvatarObject
from avatar_operator.avatars.reading import FINDINGS_MAX as FINDINGS_READ
from avatar_session.pod import MESSAGE_BYTES, fitted
from avatar_session.preparation import FINDINGS_MAX, last_words

LOOPBACK = ["127.0.0.0/8", "::1/128"]


def png(picture: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@dataclass
class Pod:
    """A pod's folder, and the process that is run in it."""

    folder: Path
    environment: dict[str, str]
    source: HttpsServer
    changes: dict[str, Any] = field(default_factory=dict)

    async def prepare(self, path: str, allow: list[str] | None = None, **source: Any) -> tuple[int, Any]:
        """Exit code and termination message."""
        document = {
            "timeoutSeconds": 60,
            "name": "ada",
            "namespace": "team",
            "uid": "u",
            "generation": 1,
            "spec": {"source": {"url": self.source.url(path, "localhost"), **source}},
            "fetch": {"refuse": [], "allow": LOOPBACK if allow is None else allow},
            "newer": True,
            **self.changes,
        }
        (self.folder / "prepare.json").write_text(json.dumps(document))
        message = self.folder / "message"
        command = ["-m", "avatar_session.prepare", "--document", str(self.folder / "prepare.json")]
        command += ["--tokens", str(self.folder), "--termination-message", str(message)]
        with (self.folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, env=self.environment, stdout=log, stderr=log
            )
        try:
            code = await asyncio.wait_for(process.wait(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return code, json.loads(message.read_bytes())


@pytest.fixture
async def pod(server: InferenceProcess, tmp_path: Path) -> AsyncIterator[Pod]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    (tmp_path / "tmp").mkdir()
    environment = {
        **os.environ,
        "AVATAR_INFERENCE_ADDRESS": server.target,
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    async with https_server(tls) as source:
        yield Pod(tmp_path, environment, source)
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_photograph_becomes_a_bundle(pod: Pod) -> None:
    picture = png(astronaut())
    pod.source.answers("/face.png", body=picture)
    code, words = await pod.prepare("/face.png", sha256=sha256(picture).hexdigest())
    assert code == 0, words
    avatar = words["avatar"]
    assert avatar["bundle"].startswith("sha256:")
    assert (avatar["width"], avatar["height"], avatar["engine"]) == (512, 512, "preview")
    assert avatar["pictures"] >= 1


@pytest.mark.parametrize(
    ("reason", "code", "more"),
    [
        ("NoFace", 11, {}),
        ("SourceMismatch", 23, {"sha256": "0" * 64}),
        ("SourceRefused", 23, {"allow": []}),
        ("SourceNotFound", 23, {"path": "/absent"}),
        ("InvalidPicture", 10, {"path": "/text"}),
        ("SourceUnreachable", 50, {"path": "/down"}),
    ],
)
async def test_it_ends_by_its_reason(pod: Pod, reason: str, code: int, more: dict[str, Any]) -> None:
    pod.source.answers("/cup.png", body=png(faceless()))
    pod.source.answers("/text", body=b"no picture")
    pod.source.answers("/absent", 404)
    pod.source.answers("/down", 503)
    found, words = await pod.prepare(**{"path": "/cup.png", **more})
    assert (found, words["reason"]) == (code, reason)
    assert words["message"]


async def test_what_takes_too_long_is_given_up(pod: Pod) -> None:
    async def hangs(_: str, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    pod.source.handlers["/face.png"] = hangs
    pod.changes["timeoutSeconds"] = 1
    code, words = await pod.prepare("/face.png")
    assert (code, words["reason"]) == (51, "PreparationTimeout")
    assert words["message"].startswith("not prepared after 1 s")


async def test_without_a_server(pod: Pod) -> None:
    pod.source.answers("/face.png", body=png(astronaut()))
    pod.environment["AVATAR_INFERENCE_ADDRESS"] = "127.0.0.1:1"
    code, words = await pod.prepare("/face.png")
    assert (code, words["reason"]) == (45, "InferenceUnavailable")


FINDINGS = st.builds(
    Finding,
    st.text("abcdefghij", min_size=1, max_size=20),
    st.text(max_size=900),
    st.integers(0, 1800),
    st.integers(0, 1800),
)


@given(st.lists(FINDINGS, max_size=60))
def test_what_is_said_fits(findings: list[Finding]) -> None:
    prepared = Prepared("sha256:" + "ab" * 32, 8192, 8192, 1800, tuple(findings), b"")
    words = last_words(prepared, "musetalk")
    said = json.loads(fitted(words))
    assert said == json.loads(json.dumps(words).encode(errors="replace")) or "?" in json.dumps(said)
    assert len(fitted(words)) <= MESSAGE_BYTES
    told = said["avatar"]["findings"]
    assert len(told) <= FINDINGS_MAX == FINDINGS_READ
    if len(told) < len(findings):
        left = len(findings) - len(told) + 1
        assert told[-1]["message"] == f"{left} more findings are in the log of the pod"


def test_few_findings_are_told_whole() -> None:
    findings = tuple(Finding("SmallFace", "come closer " * 20, n, n) for n in range(5))
    words = last_words(Prepared("sha256:" + "ab" * 32, 512, 512, 5, findings, b""), "preview")
    assert [each["message"] for each in words["avatar"]["findings"]] == [f.message for f in findings]


def test_the_operator_names_the_document_as_the_pod_reads_it() -> None:
    from tests.support.fake_operator import SETTINGS

    from avatar_operator.avatars.jobs import build_preparation
    from avatar_session.prepare import DOCUMENT

    spec = build_preparation(AvatarObject("team", "ada", "u"), 1, SETTINGS)["spec"]["template"]["spec"]
    (item,) = spec["volumes"][0]["downwardAPI"]["items"]
    mount = spec["containers"][0]["volumeMounts"][0]["mountPath"]
    assert f"{mount}/{item['path']}" == str(DOCUMENT)
