"""The cluster that kubectl would talk to, asked with the person's own rights."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import yaml
from kubernetes.aio import client, config

from avatar_cli.cluster.refusals import explained, refusal
from avatar_cli.cluster.target import Target
from avatar_core.cluster.kube import Json, Kube, KubeError
from avatar_core.errors import AvatarError, Reason

T = TypeVar("T")
_RATE, _BURST = 20.0, 50.0
_CONNECT_SECONDS = 10.0
_DEFAULT = "~/.kube/config"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Cluster:
    """One API server.

    Args:
        kube: short requests.
        streams: to the same server, for what comes as it comes.
        namespace: in which names are looked up.
        server_name: that its certificate must be for, where that is not its host.
    """

    def __init__(self, kube: Kube, streams: httpx2.AsyncClient, namespace: str, server_name: str) -> None:
        self._kube, self._streams, self.namespace = kube, streams, namespace
        self._extensions = {"sni_hostname": server_name} if server_name else {}

    async def get(self, path: str, **query: str) -> Json:
        """Reads an object, or a short list."""
        return await _told(self._kube.get(path, **query))

    async def patch(self, path: str, body: Mapping[str, object]) -> Json:
        """Changes an object by a JSON merge patch."""
        return await _told(self._kube.patch(path, body))

    async def names(self, path: str, **query: str) -> list[tuple[str, str]]:
        """Namespace and name of all objects of a list."""
        try:
            found = [item["metadata"] async for item in self._kube.list(path, query, only_metadata=True)]
        except KubeError as error:
            raise explained(error) from None
        return [(one.get("namespace", ""), one["name"]) for one in found]

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
        refused: bool = True,
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose body is read as it comes.

        Args:
            path, query: on the API server.
            method, headers: of the request.
            silence: seconds between two pieces after which it counts as broken; None: any.
            refused: answers from 400 on are raised.

        Raises:
            AvatarError: refused, not answered or broken off.
        """
        own = await self._kube.headers()
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=silence)
        try:
            async with self._streams.stream(
                method,
                path,
                params=query,
                headers={**(headers or {}), **own},
                timeout=timeout,
                extensions=dict(self._extensions),
            ) as answer:
                if refused and answer.status_code >= 400:
                    raise refusal(answer.status_code, await answer.aread())
                yield answer
        except httpx2.HTTPError as error:
            raise explained(KubeError(0, type(error).__name__, str(error))) from None


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Cluster]:
    """Connections to a cluster, for as long as the block lasts; nothing is asked yet.

    Raises:
        AvatarError: CLUSTER_UNAVAILABLE, no usable configuration.
    """
    settings, namespace = client.Configuration(), target.namespace
    # The client writes keys into files and removes them only at an orderly exit, which `avatar` has not.
    with TemporaryDirectory(prefix="avatar-") as folder:
        try:
            own = await _configure(settings, target, folder)
            settings.proxy = settings.proxy or _proxy_for(settings.host)
            kube = Kube(settings, _RATE, _BURST)
        except (config.ConfigException, OSError, TypeError, KeyError, ValueError, yaml.YAMLError) as error:
            message = f"no usable kubeconfig ({error}); give --kubeconfig or --context, or set KUBECONFIG"
            raise AvatarError(Reason.CLUSTER_UNAVAILABLE, message) from None
    streams = httpx2.AsyncClient(
        base_url=kube.server, verify=kube.tls, trust_env=False, proxy=settings.proxy, follow_redirects=False
    )
    try:
        yield Cluster(kube, streams, namespace or own or "default", settings.tls_server_name or "")
    finally:
        await streams.aclose()
        await kube.close()


async def _configure(settings: client.Configuration, target: Target, folder: str) -> str:
    """Fills in the settings; returns the namespace they come with."""
    given = str(target.kubeconfig or os.environ.get("KUBECONFIG") or "")
    path = given or _DEFAULT
    if not _exists(path):
        if given or "KUBERNETES_SERVICE_HOST" not in os.environ:
            raise ValueError(f"there is no file {path}")
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        return _own_namespace()
    loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
        path, target.context, settings, persist_config=False, temp_file_path=folder
    )
    return str(loader.current_context["context"].get("namespace") or "")


def _exists(paths: str) -> bool:
    """Whether any file of a list as in $KUBECONFIG is there."""
    return any(Path(each).expanduser().exists() for each in paths.split(os.pathsep) if each)


def _own_namespace() -> str:
    """In a pod, the pod's."""
    return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else ""


def _proxy_for(host: str) -> str | None:
    """The proxy that the environment names for it, as kubectl takes it."""
    parts = urlsplit(host)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


async def _told(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except KubeError as error:
        raise explained(error) from None
