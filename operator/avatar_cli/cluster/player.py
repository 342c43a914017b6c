"""A page on this machine that shows what a link leads to, wherever that is."""

from __future__ import annotations

import asyncio
import re
import secrets
import webbrowser
from collections.abc import Mapping
from typing import Self

import click
from aiohttp import web

from avatar_cli.cluster.videos import Videos
from avatar_core.errors import AvatarError

_HOST = "127.0.0.1"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}|")
_ASKED = ("Range", "If-Range", "If-None-Match", "If-Modified-Since", "Accept")
_ANSWERED = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Last-Modified",
    "Cache-Control",
    "Content-Disposition",
    "Content-Security-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
)
_PIECE_BYTES = 64 * 1024


class Player:
    """Serves one link below a path that nobody can guess, to this machine alone.

    Args:
        videos: opens what is asked for.
    """

    def __init__(self, videos: Videos) -> None:
        self._videos, self._link = videos, ""
        self._secret = secrets.token_urlsafe(24)
        self._asking: asyncio.Task[None] | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{secret}/{name:[^/]*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """Where the page is; empty while nothing is shown."""
        return f"http://{_HOST}:{self._port}/{self._secret}/" if self._link else ""

    def show(self, link: str) -> None:
        """Serves this link from now on; the first one is opened in a browser."""
        first, self._link = not self._link, link
        if first:
            click.echo(f"watch it at {self.address}", err=True)
            # Some browsers hold the call until they are closed.
            self._asking = asyncio.create_task(self._open(), name="browser")

    async def _open(self) -> None:
        try:
            opened = await asyncio.to_thread(webbrowser.open, self.address)
        except webbrowser.Error:
            opened = False
        if not opened:
            click.echo("no browser could be opened; open that address yourself", err=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        # Another site's page that has its name resolved to this machine still sends its own Host.
        known = request.host == f"{_HOST}:{self._port}"
        right = secrets.compare_digest(request.match_info["secret"].encode(), self._secret.encode())
        if not (known and right and self._link and _NAME.fullmatch(name)):
            raise web.HTTPNotFound
        asked = {key: request.headers[key] for key in _ASKED if key in request.headers}
        try:
            return await self._pass_on(request, name, {**asked, "Accept-Encoding": "identity"})
        except AvatarError as error:
            return web.Response(status=502, text=error.message)

    async def _pass_on(
        self, request: web.Request, name: str, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        async with self._videos.open(self._link, name, method=request.method, headers=headers) as answer:
            kept = {key: answer.headers[key] for key in _ANSWERED if key in answer.headers}
            passed = web.StreamResponse(status=answer.status_code, headers=kept)
            await passed.prepare(request)
            if request.method != "HEAD":
                async for piece in answer.aiter_raw(_PIECE_BYTES):
                    await passed.write(piece)
            await passed.write_eof()
            return passed
