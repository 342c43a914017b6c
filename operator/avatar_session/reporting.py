"""News and results for the operator, by HTTP. News may be lost; a result is told again for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2

from avatar_session.progress import StageEvent
from avatar_session.provider_errors import retry_after
from avatar_session.receipt import Receipt

log = logging.getLogger(__name__)

NEWS_SECONDS = 1.0
RESULT_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_NEVER = {401, 403, 409, 413, 422}
"""Answers that the same post would get again."""
_NOTES_MAX = 16
_LAST_WORDS = {
    "uid": True,
    "video": {"bytes", "sha256", "seconds", "frames", "fps", "width", "height"},
    **dict.fromkeys(("reply", "reply_cut", "usage", "timings", "notes"), True),
    **dict.fromkeys(("first_frame_seconds", "total_seconds", "engine", "avatar", "render_id"), True),
}


class Reports:
    """Posts about one attempt.

    Args:
        url: of the operator.
        token: asked before every post.
    """

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._token = token
        # A proxy that the environment names is for providers, and must not see tokens of this cluster.
        self._client = httpx2.AsyncClient(base_url=url, timeout=_ANSWER_SECONDS, trust_env=False)
        self._latest: StageEvent | None = None
        self._news = asyncio.Event()

    def see(self, event: StageEvent) -> None:
        """Takes news; only the latest is ever posted."""
        self._latest = event
        self._news.set()

    async def tell_news(self) -> None:
        """Posts the latest news, once a second at most, until cancelled or told that nobody wants them."""
        while True:
            await self._news.wait()
            self._news.clear()
            assert self._latest is not None
            try:
                answer = await self._post("/v1/progress", json.dumps(_news(self._latest)).encode())
            except httpx2.HTTPError as error:
                log.debug("news are lost: %s", error)
            else:
                if answer.status_code in _NEVER:
                    log.warning("the operator wants no news: %d %s", answer.status_code, answer.text[:200])
                    return
            await asyncio.sleep(NEWS_SECONDS)

    async def tell_result(self, receipt: Receipt, seconds: float = RESULT_SECONDS) -> bool:
        """Posts the result until it is taken, refused for good, or time is over; whether it was taken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._insist(receipt.to_json())
        log.warning("the operator did not take the result within %g s", seconds)
        return False

    async def _insist(self, body: bytes) -> bool:
        pause = _FIRST_PAUSE
        while True:
            wait: float | None = None
            try:
                answer = await self._post("/v1/result", body)
                if answer.is_success:
                    return True
                if answer.status_code in _NEVER:
                    log.warning(
                        "the operator refuses the result: %d %s", answer.status_code, answer.text[:200]
                    )
                    return False
                wait = retry_after(answer.headers)
            except httpx2.HTTPError as error:
                log.info("the operator does not answer: %s", error or type(error).__name__)
            await asyncio.sleep((wait or pause) * random.uniform(1, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _post(self, path: str, body: bytes) -> httpx2.Response:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token() or 'none'}"}
        return await self._client.post(path, content=body, headers=headers)


def last_words(receipt: Receipt) -> dict[str, Any]:
    """What a termination message needs of a receipt."""
    told = receipt.to_dict(include=_LAST_WORDS)
    return {"result": {**told, "notes": told["notes"][:_NOTES_MAX]}}


def _news(event: StageEvent) -> dict[str, Any]:
    return {
        "stage": event.stage,
        "done": event.done,
        "total": event.total,
        "percent": event.percent,
        "note": event.note,
    }
