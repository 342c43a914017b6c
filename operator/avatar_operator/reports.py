"""Where session pods post progress and results. A follower passes posts on to the leader."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.cluster.pace import Bucket
from avatar_core.cluster.tokens import Caller, CallerError, Tokens, bearer_token
from avatar_core.errors import InvalidInputError
from avatar_operator.cache import Cache
from avatar_operator.memory import Memory
from avatar_operator.observed import Posted
from avatar_operator.posters import Poster, find_poster
from avatar_operator.posts import read_progress, read_result

log = logging.getLogger(__name__)
PROGRESS_PATH, RESULT_PATH = "/v1/progress", "/v1/result"
BODY_MAX = 512 * 1024
"""A reply of 64 Ki characters, escaped, and the rest of a receipt."""
POSTS_A_SECOND, POSTS_AT_ONCE = 5.0, 20.0
POSTERS_MAX = 20_000
FORWARD_SECONDS = 5.0


class Leadership(Protocol):
    """Who leads."""

    leader_address: str

    @property
    def leading(self) -> bool:
        """Whether this process does."""
        ...


class Reports:
    """The HTTP application for posts.

    Every answer but 202 has a JSON body `{"error": …}`. 401: no token, or none of ours. 403: of no session's
    present attempt. 409: the session does not run this attempt any more. 413, 422: the body. 429 and 503 with
    Retry-After: later.

    Args:
        kube, cache, memory, tokens: what is known, and who may post.
        leadership: who takes posts.
        on_post: told the uids of sessions to be looked at.
    """

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        memory: Memory,
        tokens: Tokens,
        leadership: Leadership,
        on_post: Callable[[Iterable[str]], None],
    ) -> None:
        self._kube, self._cache, self._memory, self._tokens = kube, cache, memory, tokens
        self._leadership, self._on_post = leadership, on_post
        self._paces: dict[str, Bucket] = {}

    def application(self) -> web.Application:
        """To be served."""
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_post(PROGRESS_PATH, self._answer)
        app.router.add_post(RESULT_PATH, self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            authorization = request.headers.get("Authorization", "")
            if not self._leadership.leading:
                return await self._forward(request, bearer_token(authorization))
            caller = await self._tokens.caller(authorization, request.remote or "")
            self._hold_back(caller)
            poster = await find_poster(caller, self._cache, self._kube)
            self._take(request.path, poster, _document(await request.read()))
        except CallerError as error:
            return _refusal(error.status, str(error), error.retry_after)
        except InvalidInputError as error:
            return _refusal(422, str(error))
        except KubeError as error:
            log.warning("a post could not be judged: %s", error)
            return _refusal(503, "the API server does not answer", 2)
        return web.Response(status=202)

    def _take(self, path: str, poster: Poster, document: Any) -> None:
        session, job = poster.session, poster.job
        if path == RESULT_PATH:
            if document.get("uid") != session.uid:
                raise CallerError(403, "the result is of another session")
            self._memory.of(session.uid).result = read_result(document)
        else:
            if session.status.finished or job.attempt < session.status.attempt:
                raise CallerError(409, f"attempt {job.attempt} is not the session's present one")
            stage, progress = read_progress(document)
            self._memory.of(session.uid).progress = Posted(job.attempt, stage, progress)
        self._on_post([session.uid])

    def _hold_back(self, caller: Caller) -> None:
        """A pod that posts too often harms nobody but itself."""
        if len(self._paces) > POSTERS_MAX:
            self._paces.clear()
        pace = self._paces.setdefault(caller.pod_uid, Bucket(POSTS_A_SECOND, POSTS_AT_ONCE))
        if not pace.take():
            raise CallerError(429, "posted too often", retry_after=1)

    async def _forward(self, request: web.Request, token: str) -> web.Response:
        """The leader judges the token itself; nobody else is trusted to have done so."""
        address = self._leadership.leader_address
        if not address or "X-Forwarded-For" in request.headers:
            return _refusal(503, "nobody leads just now", 2)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-Forwarded-For": request.remote or "",
        }
        body = await request.read()
        timeout = aiohttp.ClientTimeout(total=FORWARD_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(f"{address}{request.path}", data=body, headers=headers) as answer,
            ):
                kept = {key: answer.headers[key] for key in ("Retry-After",) if key in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("the leader at %s does not answer: %s", address, error)
            return _refusal(503, "the leader does not answer", 2)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CallerError(422, "the body must be a JSON object")
    return document


def _refusal(status: int, message: str, retry_after: float | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(max(1, int(retry_after)))}
    return web.json_response({"error": message}, status=status, headers=headers)
