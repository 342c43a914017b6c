"""The page that viewers see, in a real Chromium: a real render, fed slowly through the gateway."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page
from tests.support.inference_process import inference_process
from tests.support.renders import Rendered, collect
from tests.support.sound import babble, pieces

from avatar_core.links import SignedLinks
from avatar_core.media.mp4 import remux
from avatar_core.store import ObjectStore
from avatar_gateway.front import Front
from avatar_gateway.metrics import Metrics
from avatar_gateway.slots import Slots
from avatar_gateway.videos import Videos
from avatar_gateway.viewers import Viewers
from avatar_inference.client import InferenceClient, RenderConfig, Video
from avatar_session.progress import StageEvent
from avatar_session.watching import Watching

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
UID = "11111111-2222-3333-4444-555555555555"
FOLDER = f"team/{UID}"
KEY = b"k" * 32
SECONDS = 8
SCREENSHOT = os.environ.get("AVATAR_WATCH_SCREENSHOT")
"""Where a picture of the page is kept; docs/images/watch.png is made so."""


@dataclass
class Place:
    """A gateway, one session's folder, and what a page said."""

    store: ObjectStore
    folder: Path
    url: str
    complaints: list[str] = field(default_factory=list)

    def link(self, expires_in: int = 600) -> str:
        return SignedLinks(self.url, "1", KEY).url("team", UID, int(time.time()) + expires_in)

    def publish(self, rendered: Rendered) -> None:
        """The whole video is there."""
        (self.folder / "fragments").write_bytes(rendered.data)
        remux(self.folder / "fragments", self.folder / "whole", {})
        (self.folder / FOLDER).mkdir(parents=True, exist_ok=True)
        (self.folder / "whole").rename(self.folder / FOLDER / "video.mp4")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Ava says something for a while."""
    with inference_process(tmp_path_factory.mktemp("inference")) as server:
        async with InferenceClient(server.target) as client:
            return await collect(client, RenderConfig(22050), pieces(babble(SECONDS)))


@pytest_asyncio.fixture(loop_scope="session")
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store, metrics = ObjectStore(str(tmp_path / "store")), Metrics()
    viewers = Viewers(Videos(store, Slots(50, "viewers"), metrics), lambda: [KEY])
    server = TestServer(Front([viewers.door()], metrics).application())
    await server.start_server(access_log=None)
    yield Place(store, tmp_path / "store", f"http://127.0.0.1:{server.port}")
    await server.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, place: Place) -> AsyncIterator[Page]:
    opened = await chromium.new_page(viewport={"width": 760, "height": 820}, locale="en-GB")
    opened.on("console", lambda said: place.complaints.append(said.text))
    opened.on("pageerror", lambda error: place.complaints.append(str(error)))
    yield opened
    await opened.close()
    assert [said for said in place.complaints if "404" not in said and "410" not in said] == []


async def until(page: Page, condition: str) -> None:
    """Asks again and again: what playwright would have the page wait for itself, the page forbids."""
    async with asyncio.timeout(60):
        while not await page.evaluate(f"(() => {{ {HANDY}; return {condition}; }})()"):
            await asyncio.sleep(0.05)


async def says(page: Page, text: str) -> None:
    await until(page, f"state.textContent.startsWith('{text}')")


async def feed(watching: Watching, video: list[Video], pace: float) -> None:
    """Offers fragments as if they were drawn at `pace` times their own speed."""
    for piece in video:
        watching.see(piece)
        await asyncio.sleep(piece.duration / pace)
    watching.hear(StageEvent("render", "frames", finished=True))


HANDY = "const [video, state] = ['video', 'state'].map((id) => document.getElementById(id))"
PICTURE = """() => {
  const canvas = new OffscreenCanvas(64, 64), context = canvas.getContext("2d");
  context.drawImage(document.getElementById("video"), 0, 0, 64, 64);
  return [document.getElementById("video").currentTime, Array.from(context.getImageData(0, 0, 64, 64).data)];
}"""


async def test_pictures_move_before_the_video_is_whole(page: Page, place: Place, rendered: Rendered) -> None:
    await page.goto(place.link())
    await says(page, "Waiting")
    watching = Watching(place.store, FOLDER)
    feeding = asyncio.create_task(feed(watching, rendered.video, 0.8))
    await says(page, "Being drawn")
    await until(page, "video.currentTime > 1.2")
    first, before = await page.evaluate(PICTURE)
    await until(page, f"video.currentTime > {first + 0.5}")
    second, after = await page.evaluate(PICTURE)
    assert not feeding.done()
    assert not (place.folder / FOLDER / "video.mp4").exists()
    assert second > first > 1.2
    assert len(set(before)) > 50, "a picture, not a plain colour"
    assert sum(abs(a - b) > 16 for a, b in zip(before, after, strict=True)) > 20, "it moves"
    assert await page.locator("#save").is_hidden()
    if SCREENSHOT:
        await page.screenshot(path=SCREENSHOT)
    await feeding
    watching.end()
    await watching.finish(20)
    place.publish(rendered)
    await says(page, "Ready")
    assert await page.locator("#save").is_visible()
    await until(page, "video.ended")
    end = await page.evaluate("document.getElementById('video').currentTime")
    assert end == pytest.approx(rendered.seconds, abs=0.1)


async def test_a_video_that_is_begun_anew_is_shown_anew(page: Page, place: Place, rendered: Rendered) -> None:
    watching = Watching(place.store, FOLDER)
    half = rendered.video[: len(rendered.video) // 2]
    await feed(watching, half, 100)
    await page.goto(place.link())
    await until(page, "video.currentTime > 1")
    await feed(watching, rendered.video, 100)
    watching.end()
    await watching.finish(20)
    place.publish(rendered)
    await until(page, f"video.duration > {SECONDS - 0.5}")
    await until(page, "video.currentTime > 1")


async def test_a_whole_video_is_played_as_it_is(page: Page, place: Place, rendered: Rendered) -> None:
    place.publish(rendered)
    await page.goto(place.link())
    await says(page, "Ready")
    assert (await page.evaluate("document.getElementById('video').src")).endswith("/video.mp4")
    await until(page, "video.readyState >= 2")
    async with page.expect_download() as waiting:
        await page.locator("#save").click()
    download = await waiting.value
    assert download.suggested_filename == f"video-{UID[:8]}.mp4"


async def test_what_went_wrong_is_told(page: Page, place: Place) -> None:
    await page.goto(place.link(expires_in=2))
    await says(page, "Waiting")
    await says(page, "This link has expired")


async def test_it_speaks_french_in_the_dark(chromium: Browser, place: Place) -> None:
    context = await chromium.new_context(
        locale="fr-CA", color_scheme="dark", viewport={"width": 360, "height": 640}
    )
    page = await context.new_page()
    await page.goto(place.link())
    await says(page, "En attente")
    assert await page.evaluate("document.documentElement.lang") == "fr"
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 21, 19)"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await context.close()
