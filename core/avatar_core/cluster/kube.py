"""The API server: paths and JSON through the official client's connections, at a bounded rate and in time."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from avatar_core.cluster.pace import Bucket
from avatar_core.errors import AvatarError, Reason

Json = dict[str, Any]
REQUEST_SECONDS = 15.0
LIST_SECONDS = 120.0
PAGE = 500
MERGE_PATCH = "application/merge-patch+json"
AGENT = "avatar-operator"
_ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

OnCall = Callable[[str, int, float], None]
"""Told of every answered request: verb, HTTP status (0 without an answer), seconds."""


class KubeError(AvatarError):
    """The API server refused, or did not answer.

    Args:
        code: HTTP status; 0 without an answer.
        cause: the `reason` of its Status, such as "AlreadyExists".
        message: of its Status, kept as `said`.
        retry_after: seconds, where it asks for that.
        details: the `reason` of each cause in its Status's details, such as "NamespaceTerminating".
    """

    def __init__(
        self,
        code: int,
        cause: str,
        message: str,
        retry_after: float | None = None,
        details: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(
            Reason.CLUSTER_UNAVAILABLE, f"{code} {cause}: {message}"[:2000], retry_after=retry_after
        )
        self.code = code
        self.said = message
        self.cause = cause
        self.details = details


class GoneError(KubeError):
    """There is no such object (any more)."""


class ConflictError(KubeError):
    """The object has changed since it was read, is another one, or its name is taken."""


class Kube:
    """Requests of the operator.

    Args:
        settings: the official client's configuration.
        rate, burst: requests a second, and at once after a pause.
        on_call: for metrics.
    """

    def __init__(
        self, settings: client.Configuration, rate: float, burst: float, on_call: OnCall = lambda *_: None
    ) -> None:
        settings.retries = None
        # What proxies the environment names would be asked in a thread, before every request.
        settings.client_session_kwargs = {"trust_env": False}
        self._settings = settings
        self._client = client.ApiClient(settings)
        self._bucket = Bucket(rate, burst)
        self.on_call = on_call

    @classmethod
    async def connect(cls, rate: float, burst: float, on_call: OnCall = lambda *_: None) -> Kube:
        """As $KUBECONFIG or ~/.kube/config says; in a pod, as its ServiceAccount.

        Raises:
            KubeError: there is neither.
        """
        settings, path = client.Configuration(), os.environ.get("KUBECONFIG")
        try:
            if path is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(path, client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise KubeError(0, "NoConfiguration", str(error)) from None
        return cls(settings, rate, burst, on_call)

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._settings.host)

    @property
    def tls(self) -> ssl.SSLContext:
        """For other connections to the same server."""
        return self._client.rest_client.ssl_context

    async def headers(self) -> dict[str, str]:
        """What proves who asks; tokens are read anew when they were renewed."""
        found: dict[str, str] = {"User-Agent": AGENT}
        await self._client.update_params_for_auth(found, [], ["BearerToken"], "", "", None)
        return found

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, **query: str) -> Json:
        """Reads an object."""
        return await self.ask("get", path, query)

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """Creates an object."""
        return await self.ask("create", path, body=body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Json:
        """Replaces an object."""
        return await self.ask("update", path, body=body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Changes an object by a JSON merge patch."""
        return await self.ask("patch", path, body=body)

    async def delete(self, path: str, uid: str, grace: int | None = None) -> None:
        """Deletes in the background; what is gone already, or is another object by now, is fine."""
        options: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self.ask("delete", path, body=options)
        except (GoneError, ConflictError):
            return

    async def list(
        self, path: str, query: Mapping[str, str], *, only_metadata: bool = False
    ) -> AsyncIterator[Json]:
        """All objects of a list, page by page; with `only_metadata` nothing else of them."""
        accept = _ONLY_METADATA if only_metadata else "application/json"
        paged = {**query, "limit": str(PAGE)}
        while True:
            page = await self.ask("list", path, paged, accept=accept, limit=LIST_SECONDS)
            for item in page["items"] or ():  # of an empty list of metadata: null
                yield item
            if not (more := page["metadata"].get("continue")):
                return
            paged["continue"] = more

    async def ask(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        accept: str = "application/json",
        limit: float = REQUEST_SECONDS,
        queued: bool = True,
    ) -> Json:
        """One request.

        Args:
            verb: as RBAC knows it.
            path: from the root.
            query, body: as the API wants them.
            accept: the form of the answer.
            limit: seconds until it counts as not answered.
            queued: waits for its turn in the rate limit; a Lease can't.

        Raises:
            KubeError: refused or not answered.
        """
        if queued:
            await self._bucket.wait()
        kind = MERGE_PATCH if verb == "patch" else "application/json"
        headers = {**await self.headers(), "Accept": accept, "Content-Type": kind}
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        began, code = time.monotonic(), 0
        try:
            async with asyncio.timeout(limit):
                request = self._client.rest_client.request
                total = aiohttp.ClientTimeout(total=limit)
                answer = await request(_METHODS[verb], url, headers, body, _request_timeout=total)  # type: ignore[no-untyped-call]
                code, data = answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeError(0, type(error).__name__, f"{verb} {path}: {error}") from None
        finally:
            self.on_call(verb, code, time.monotonic() - began)
        if code >= 400:
            raise _refusal(code, data, answer.headers)
        parsed: Json = json.loads(data)
        return parsed


_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


def _refusal(code: int, data: bytes, headers: Mapping[str, str]) -> KubeError:
    try:
        status = json.loads(data)
        cause, message = str(status.get("reason", "")), str(status.get("message", ""))
        causes = (status.get("details") or {}).get("causes") or ()
        details = frozenset(str(one.get("reason", "")) for one in causes)
    except (ValueError, AttributeError, TypeError):
        cause, message, details = "", data.decode(errors="replace"), frozenset()
    kinds: dict[int, type[KubeError]] = {404: GoneError, 409: ConflictError}
    wait = headers.get("Retry-After", "")
    return kinds.get(code, KubeError)(
        code, cause, message, float(wait) if wait.isdecimal() else None, details
    )
