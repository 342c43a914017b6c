"""Videos by signed links: real HTTP, a real folder."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256

import httpx2
import pytest
from tests.gateway.conftest import FOLDER, OTHER, UID, VIEWERS, Gateway

from avatar_core.watching import WatchIndex

BODY = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def video(gateway: Gateway) -> bytes:
    """What lies in the store as `video.mp4`."""
    (gateway.folder / FOLDER).mkdir(parents=True)
    (gateway.folder / FOLDER / "video.mp4").write_bytes(BODY)
    return BODY


async def ask(url: str, method: str = "GET", **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.request(
            method, url, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


async def test_a_video(gateway: Gateway, video: bytes) -> None:
    url = gateway.link() + "video.mp4"
    answer = await ask(url)
    assert (answer.status_code, answer.content) == (200, video)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Length"] == str(len(video))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Disposition"] == f'inline; filename="video-{UID[:8]}.mp4"'
    head = await ask(url, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    same = {"ETag", "Content-Length", "Content-Type", "Last-Modified", "Accept-Ranges", "Content-Disposition"}
    assert {name: head.headers[name] for name in same} == {name: answer.headers[name] for name in same}
    assert not gateway.kube.asked


async def test_parts_of_a_video(gateway: Gateway, video: bytes) -> None:
    url = gateway.link() + "video.mp4"
    part = await ask(url, Range="bytes=1000000-2500000")
    assert (part.status_code, part.content) == (206, video[1000000:2500001])
    assert part.headers["Content-Range"] == f"bytes 1000000-2500000/{len(video)}"
    assert (await ask(url, Range="bytes=-5")).content == video[-5:]
    beyond = await ask(url, Range=f"bytes={len(video)}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(video)}")
    etag = part.headers["ETag"]
    assert (await ask(url, Range="bytes=0-1", If_Range=etag)).status_code == 206
    (gateway.folder / FOLDER / "video.mp4").write_bytes(b"another one")
    other = await ask(url, Range="bytes=0-1", If_Range=etag)
    assert (other.status_code, other.content) == (200, b"another one")


async def test_what_a_browser_has_already(gateway: Gateway, video: bytes) -> None:
    url = gateway.link() + "video.mp4"
    etag = (await ask(url, "HEAD")).headers["ETag"]
    again = await ask(url, If_None_Match=etag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert (await ask(url, If_None_Match='"other"')).status_code == 200


async def test_links_end(gateway: Gateway, video: bytes) -> None:
    url = gateway.link() + "video.mp4"
    gateway.wall = 1_000_059.9
    assert (await ask(url, "HEAD")).status_code == 200
    gateway.wall = 1_000_060
    answer = await ask(url)
    assert (answer.status_code, answer.json()["reason"]) == (410, "VideoExpired")
    wrong = await ask(url.replace(UID, OTHER))
    assert wrong.status_code == 403  # not even that it has expired


async def test_both_keys_open(gateway: Gateway, video: bytes) -> None:
    for kid in ("1", "next"):
        assert (await ask(gateway.link(kid) + "video.mp4", "HEAD")).status_code == 200
    swapped = gateway.link("1").replace("/v/1.", "/v/next.")
    assert (await ask(swapped + "video.mp4")).status_code == 403


async def test_who_has_no_link_learns_nothing(gateway: Gateway, video: bytes) -> None:
    there, nowhere = gateway.link(), gateway.link(uid=OTHER)
    signature = urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    answers = []
    for url in (there, nowhere):
        parts = url.split("/")
        parts[4] = f"1.1000060.{signature}"
        forged = "/".join(parts)
        answers += [await ask(forged + name) for name in ("video.mp4", "reply.json", "nonsense", "")]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (403, answers[0].text),
    }


async def test_what_is_not_there(gateway: Gateway) -> None:
    answer = await ask(gateway.link() + "video.mp4")
    assert (answer.status_code, answer.json()["reason"]) == (404, "StoreDenied")


@pytest.mark.parametrize(
    "name",
    [
        *("reply.json", "result.json", "speech.pcm", "..", "%2e%2e/x", "video%2emp4", "video.mp4?x=1"),
        *("video.mp4/", "a/video.mp4", "//video.mp4", "video.mp4%00", "watch-0-0.m4s.x", "watch-x-0.m4s"),
    ],
)
async def test_other_names(gateway: Gateway, video: bytes, name: str) -> None:
    (gateway.folder / FOLDER / "reply.json").write_bytes(b"{}")
    path = gateway.link().removeprefix(gateway.url) + name
    assert await status_of(gateway, "GET", path) == 404


INDEX = WatchIndex().begun(0, "avc1.640016,mp4a.40.2").grown(0, 1.0)


async def test_a_playlist_and_its_pieces(gateway: Gateway) -> None:
    folder = gateway.folder / FOLDER
    folder.mkdir(parents=True)
    url = gateway.link()
    assert (await ask(url + "index.m3u8")).status_code == 404
    (folder / "watch.json").write_bytes(INDEX.to_json())
    (folder / "watch-0-0.m4s").write_bytes(b"a segment")
    answer = await ask(url + "index.m3u8")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
    assert answer.text.splitlines()[-1] == "watch-0-0.m4s"
    assert (await ask(url + "index.m3u8", "HEAD")).headers["Content-Length"] == str(len(answer.content))
    piece = await ask(url + "watch-0-0.m4s")
    assert (piece.content, piece.headers["Content-Type"]) == (b"a segment", "video/mp4")
    assert (await ask(url + "watch.json")).content == INDEX.to_json()
    (folder / "video.mp4").write_bytes(b"whole")  # although whoever drew it could not say that it ended
    assert (await ask(url + "index.m3u8")).text.splitlines()[-1] == "#EXT-X-ENDLIST"
    (folder / "watch.json").write_bytes(b"{}")
    assert (await ask(url + "index.m3u8")).status_code == 404


async def test_the_page_runs_only_its_own_script(gateway: Gateway) -> None:
    answer = await ask(gateway.link())
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    script = re.search("<script>(.*?)</script>", answer.text, re.DOTALL)
    assert script
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"https?:", answer.text)
    head = await ask(gateway.link(), "HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(answer.content)))


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_can_be_changed(gateway: Gateway, video: bytes, method: str) -> None:
    assert (await ask(gateway.link() + "video.mp4", method)).status_code == 405
    assert (gateway.folder / FOLDER / "video.mp4").read_bytes() == video


async def status_of(gateway: Gateway, method: str, path: str) -> int:
    """Of a request whose path no client has tidied."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])


async def test_only_so_many_viewers_at_once(gateway: Gateway, video: bytes) -> None:
    (gateway.folder / FOLDER / "video.mp4").write_bytes(bytes(64 * 1024 * 1024))
    path = gateway.link().removeprefix(gateway.url) + "video.mp4"
    slow = [await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024) for _ in range(VIEWERS)]
    for reader, writer in slow:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 10)
    refused = await ask(gateway.link() + "video.mp4")
    assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (503, True)
    for _, writer in slow:
        writer.transport.abort()
    broken = 'requests_total{code="broken",door="link",method="GET"} 3.0'
    async with asyncio.timeout(30):
        while broken not in (told := gateway.metrics.text().decode()):
            await asyncio.sleep(0.05)
    assert 'requests_total{code="200",door="link"' not in told
    assert "avatar_gateway_viewer_streams 0.0" in told
    assert (await ask(gateway.link() + "video.mp4", Range="bytes=0-0")).status_code == 206


async def test_links_are_not_logged(gateway: Gateway, video: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = gateway.link()
    signature = url.split("/")[4]
    await ask(url + "video.mp4")
    await ask(url + "nonsense")
    await ask(url.replace(UID, OTHER) + "video.mp4")
    gateway.wall += 100
    await ask(url + "video.mp4")
    records = [record for record in caplog.records if not record.name.startswith("http")]  # the client's own
    assert FOLDER in "".join(record.getMessage() for record in records)
    assert not any(signature[-43:] in record.getMessage() for record in records)
