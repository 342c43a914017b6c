"""Avatars from `kubectl apply` to a video: the source is fetched, the inference server makes the bundle."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from PIL import Image
from tests.cluster import eventually
from tests.cluster.pods.conftest import Place
from tests.support.https_server import HttpsServer, https_server
from tests.support.portraits import astronaut, faceless

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def png(picture: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@contextmanager
def pictures(folder: Path) -> Iterator[tuple[HttpsServer, Path]]:
    """Serves a portrait and a cup, in a thread of its own; and the authority to trust."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found: list[HttpsServer] = []

    async def serve() -> None:
        async with https_server(tls) as server:
            server.answers("/face.png", body=png(astronaut()))
            server.answers("/cup.png", body=png(faceless()))
            found.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0], folder / "ca.pem"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_a_photograph_speaks(place: Place, tmp_path: Path) -> None:
    world = place.world
    with pictures(tmp_path) as (server, authority):
        place.node.overrides = {"SSL_CERT_FILE": str(authority)}
        source = {"url": server.url("/face.png", "localhost")}
        world.apply_resource("Avatar", "eileen", source=source)
        uid = place.apply("speaks", text="Hello from a photograph.", avatarRef={"name": "eileen"})
        status = world.until_ready("avatars", "eileen", "True", "Prepared", seconds=60)
        assert (status["width"], status["height"], status["engine"]) == (512, 512, "preview")
        made = world.until("True", "Succeeded", "speaks", seconds=60)
        assert made["avatar"] == status["bundle"]
        assert (made["video"]["width"], made["video"]["height"]) == (512, 512)
        assert (place.folder(uid) / "video.mp4").is_file()
        [request] = server.requests
        assert "authorization" not in request.lower()


def test_a_picture_without_a_face(place: Place, tmp_path: Path) -> None:
    with pictures(tmp_path) as (server, authority):
        place.node.overrides = {"SSL_CERT_FILE": str(authority)}
        place.world.apply_resource("Avatar", "cup", source={"url": server.url("/cup.png", "localhost")})
        status = place.world.until_ready("avatars", "cup", "False", "NoFace", seconds=60)
        assert status["conditions"][0]["message"].endswith("Use a picture with one face seen from the front.")
        (pod,) = [pod for pod in place.node.running.values() if pod.name.startswith("avp-")][-1:]
        message = json.loads((pod.folder / "termination-log").read_text())
        assert message["reason"] == "NoFace"


def test_the_clusters_own_addresses_are_refused(place: Place) -> None:
    url = "https://10.0.0.1/latest/meta-data"
    place.world.apply_resource("Avatar", "inside", source={"url": url})
    status = place.world.until_ready("avatars", "inside", "False", "SourceRefused", seconds=60)
    assert "10.0.0.1 is not at a public address" in status["conditions"][0]["message"]
    place.apply("sound", text=None, audio="https://169.254.169.254/a.wav")
    failed = place.world.until("False", "SourceRefused", "sound", seconds=60)
    assert failed["conditions"][0]["message"].startswith("spec.audio: https://169.254.169.254/a.wav")
    assert eventually(lambda: ("Warning", "SourceRefused") in place.world.events("inside"))
