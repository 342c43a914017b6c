"""What lies below a link, asked for on the way that leads there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2

from avatar_cli.cluster.connection import Cluster
from avatar_cli.cluster.links import Way, way_of
from avatar_cli.cluster.refusals import status_of
from avatar_core.errors import AvatarError, Reason, StoreError
from avatar_core.mistakes import printable

_SILENCE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


class Videos:
    """Opens what is below links.

    Args:
        cluster: whose API server is asked for links that lead into it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @asynccontextmanager
    async def open(
        self, link: str, name: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """The answer for one name below a link, refusals included, its body unread.

        Raises:
            AvatarError: NOT_POSSIBLE, it is no link; STORE_UNAVAILABLE or CLUSTER_UNAVAILABLE, no answer.
        """
        way = way_of(link)
        if way.inside:
            path = way.prefix + name
            async with self._cluster.stream(
                path, method=method, headers=headers, silence=_SILENCE_SECONDS, refused=False
            ) as answer:
                yield answer
            return
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=_SILENCE_SECONDS)
        try:
            # Nobody's credentials: the link is all that a gateway needs.
            async with (
                httpx2.AsyncClient(timeout=timeout) as client,
                client.stream(method, way.prefix + name, headers=headers) as answer,
            ):
                yield answer
        except httpx2.HTTPError as error:
            host = urlsplit(way.prefix).netloc
            message = f"the gateway at {host} does not answer: {str(error) or type(error).__name__}"
            raise StoreError(Reason.STORE_UNAVAILABLE, message) from None


def refused(link: str, code: int, body: bytes) -> AvatarError:
    """Why an answer is a refusal: of the API server, which passes requests on, or of the gateway."""
    way = way_of(link)
    if way.inside and (status := status_of(code, body)) is not None:
        return _not_passed_on(way, code, printable(status.said))
    said = f"the gateway says {code}: {_words(body)}"
    if code in (401, 403, 404, 410):
        return AvatarError(Reason.NOT_POSSIBLE, f"{said}; the link may have expired, or the video is deleted")
    return StoreError(Reason.STORE_UNAVAILABLE, said)


def _not_passed_on(way: Way, code: int, said: str) -> AvatarError:
    service, namespace = way.service
    if code == 403:
        message = (
            f"{said}; videos come through the cluster with the right to get services/proxy of {service!r}"
        )
        return AvatarError(Reason.FORBIDDEN, f"{message} in namespace {namespace}")
    return StoreError(
        Reason.STORE_UNAVAILABLE,
        f"the cluster can't reach the gateway {service} in namespace {namespace}: {said or code}",
    )


def _words(body: bytes) -> str:
    """What a refusal's body says."""
    try:
        said = json.loads(body)
        text = f"{said['reason']}: {said['error']}"
    except (ValueError, KeyError, TypeError):
        text = body[:200].decode(errors="replace")
    return printable(" ".join(text.split())) or "nothing"
