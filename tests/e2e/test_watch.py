"""A person watches while it is drawn: `kubectl avatar watch --play`, in a real Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.browser.conftest import chromium  # noqa: F401  # a fixture
from tests.browser.test_watch_page import PICTURE, says, until
from tests.cluster import eventually
from tests.e2e.installation import Installation, condition

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = "This face is watched while it is drawn, long before the end of what it has to say is known. " * 50
SCREENSHOT = os.environ.get("AVATAR_WATCH_SCREENSHOT")
"""Where a picture of the page is kept."""
_BROWSER = """#!{python}
import sys
from pathlib import Path
Path({told!r}).write_text(sys.argv[1])
"""


@pytest.fixture(scope="module")
def place(installed: Installation) -> str:
    return installed.namespace("watching")


@pytest.fixture
def address(installed: Installation, place: str, tmp_path: Path) -> Iterator[str]:
    """Where the command shows a session that has just begun; it opens a browser there, which tells us."""
    installed.session(place, "watched", text=LONG, timeoutSeconds=300)
    told, browser = tmp_path / "address", tmp_path / "browser"
    browser.write_text(_BROWSER.format(python=sys.executable, told=str(told)))
    browser.chmod(0o755)
    environment = {**os.environ, "KUBECONFIG": str(installed.shell.kubeconfig), "BROWSER": f"{browser} %s"}
    command = [str(Path(sys.executable).with_name("avatar")), "watch", "watched", "-n", place, "--play"]
    with (tmp_path / "log").open("wb") as log:
        watching = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        eventually(told.exists, seconds=60)
        yield told.read_text()
    finally:
        watching.send_signal(signal.SIGINT)
        watching.wait(20)


async def test_pictures_move_before_the_session_has_finished(
    installed: Installation,
    place: str,
    address: str,
    chromium: Browser,  # noqa: F811
) -> None:
    page = await chromium.new_page(viewport={"width": 760, "height": 820}, locale="en-GB")
    await page.goto(address)
    await says(page, "Being drawn")
    await until(page, "video.currentTime > 1")
    first, before = await page.evaluate(PICTURE)
    await until(page, f"video.currentTime > {first + 0.5}")
    second, after = await page.evaluate(PICTURE)
    if SCREENSHOT:
        await page.screenshot(path=SCREENSHOT)
    status = installed.status(place, "watched")
    assert condition(status) == ("Unknown", "Running"), "it is over already"
    assert status["stage"] == "render"
    assert second > first
    assert len(set(before)) > 50, "a picture, not a plain colour"
    assert sum(abs(a - b) > 16 for a, b in zip(before, after, strict=True)) > 20, "it moves"
    await page.close()
    installed.change(place, "watched", cancel=True)
    installed.until(place, "watched", "False", "Cancelled")
