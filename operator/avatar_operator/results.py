"""Looks into the store, through the gateway, for results that no pod could tell of."""

from __future__ import annotations

import json
import time
from pathlib import Path

import aiohttp

from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_operator.posts import read_result
from avatar_operator.status import Result

ASK_SECONDS = 3.0
AT_ONCE = 4
"""So few, and none for a while after a failure: workers must not all wait for a gateway that hangs."""
PAUSE_SECONDS = 2.0
RESULT_BYTES = 512 * 1024


class AskedLaterError(StoreError):
    """The gateway was not asked, since others wait for it or it has just failed: nothing is known of it."""


class Results:
    """The `result.json` of sessions.

    Args:
        url: of the gateway.
        token_file: of this process, for the gateway; read anew each time, since kubelets renew it.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        self._url, self._token_file = url.rstrip("/"), token_file
        self._asking = 0
        self._paused_until = 0.0

    async def find(self, namespace: str, uid: str) -> Result | None:
        """What a session made, when it was committed; None when it was not.

        Raises:
            StoreError: it is not known.
            AskedLaterError: it was not even asked.
        """
        if self._asking >= AT_ONCE or time.monotonic() < self._paused_until:
            raise AskedLaterError(Reason.STORE_UNAVAILABLE, "the gateway is asked later")
        self._asking += 1
        try:
            body = await self._ask(f"{self._url}/v1/store/{namespace}/{uid}/result.json")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise StoreError(Reason.STORE_UNAVAILABLE, f"the gateway: {error or 'no answer'}") from None
        finally:
            self._asking -= 1
        return None if body is None else _result(body, uid)

    async def _ask(self, url: str) -> bytes | None:
        headers = {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
            client.get(url, allow_redirects=False) as answer,
        ):
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise aiohttp.ClientError(f"answers {answer.status}")
            return await _bounded(answer.content)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """Nothing at all where it is larger than any result: a pod may have put anything there."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > RESULT_BYTES:
            return b""
    return bytes(body)


def _result(body: bytes, uid: str) -> Result | None:
    """None for what is no result of this session: it could never be told of."""
    try:
        document = json.loads(body)
        return read_result(document) if document.get("uid") == uid else None
    except (ValueError, AttributeError, AvatarError):
        return None
