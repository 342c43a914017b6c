"""`helm test`: applies a session, waits for its video, fetches it as a viewer would, and takes both away."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from avatar_core.cluster.kube import Kube

SECONDS = 240


async def main(namespace: str, name: str, gateway: str) -> None:
    """Ends with 0 only if an MP4 came."""
    kube = await Kube.connect(10, 20)
    sessions = f"/apis/avatars.dev/v1alpha1/namespaces/{namespace}/avatarsessions"
    document = {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "AvatarSession",
        "metadata": {"name": name},
        "spec": {"text": "If you can hear me, everything works.", "videoTTLSeconds": 300},
    }
    made = await kube.create(sessions, document)
    try:
        status = await _finished(kube, f"{sessions}/{name}")
        # Links may lead to an address that only people reach; what follows the host is the same.
        path = urlsplit(status["video"]["url"]).path
        video = await asyncio.to_thread(_fetch, f"{gateway}{path}video.mp4")
        assert len(video) == status["video"]["bytes"], "the video is not whole"
        assert video[4:8] == b"ftyp", "what came is no MP4"
        print(f"{status['video']['seconds']} s of video, {len(video)} bytes")
    finally:
        await kube.delete(f"{sessions}/{name}", made["metadata"]["uid"])
        await kube.close()


async def _finished(kube: Kube, path: str) -> dict[str, Any]:
    end = time.monotonic() + SECONDS
    while True:
        status: dict[str, Any] = (await kube.get(path)).get("status", {})
        said = {each["type"]: each for each in status.get("conditions", ())}.get("Succeeded", {})
        if said.get("status") == "True":
            return status
        assert said.get("status") != "False", f"{said['reason']}: {said['message']}"
        assert time.monotonic() < end, f"no video after {SECONDS} s: {said}"
        await asyncio.sleep(0.5)


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


asyncio.run(main(*sys.argv[1:]))
