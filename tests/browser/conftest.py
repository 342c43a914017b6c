"""A real Chromium, and a page on loopback that plays what the tests put into a folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

# Nothing but loopback is asked for, and sound plays without a click. Pictures go the way they go with a GPU,
# drawn by SwiftShader: without one Chromium converts by libyuv, whose 8-bit factors lose up to 12 levels of
# BT.709's blue.
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--autoplay-policy=no-user-gesture-required",
]
PLAYER = Path(__file__).with_name("player.js")


def chromium_path(bundled: str) -> str | None:
    """The browser named by CHROMIUM, one on PATH, or playwright's own."""
    on_path = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    candidates = [os.environ.get("CHROMIUM"), *on_path, bundled]
    return next((path for path in candidates if path and Path(path).exists()), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        path = chromium_path(playwright.chromium.executable_path)
        if path is None:
            pytest.skip(
                "NO BROWSER, NOTHING PROVED: install Chromium (`apt install chromium` or "
                "`playwright install chromium`) or name one in the variable CHROMIUM"
            )
        browser = await playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        await browser.close()


class _Handler(SimpleHTTPRequestHandler):
    """Files with byte ranges, which seeking needs; and one empty page."""

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, b"<!doctype html><meta charset=utf-8><title>player</title><body>", "text/html")
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._answer(200, data, "video/mp4")
            return
        start = int(wanted[1])
        end = int(wanted[2] or len(data) - 1)
        self._answer(206, data[start : end + 1], "video/mp4", f"bytes {start}-{end}/{len(data)}")

    def _answer(self, status: int, body: bytes, kind: str, span: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the test's own folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, site: str) -> AsyncIterator[Page]:
    """An empty page with the functions of player.js."""
    opened = await chromium.new_page()
    await opened.goto(site)
    await opened.add_script_tag(path=PLAYER)
    yield opened
    await opened.close()
