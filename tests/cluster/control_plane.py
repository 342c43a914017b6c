"""The servers of a cluster as processes: started in order, killed, frozen, started again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import urllib3
from tests.cluster import commands
from tests.cluster.access import ADMIN, MASTERS, Access
from tests.cluster.commands import API_SERVER, CONTROLLER_MANAGER, ETCD, LOOPBACK, SCHEDULER, Layout
from tests.cluster.pki import Authority, Identity, signing_key
from tests.cluster.rest import Rest, RestError
from tests.cluster.servers import Port, Servers


class ControlPlane:
    """etcd and kube-apiserver, and controllers and scheduler when asked, on loopback ports of their own.

    Attributes:
        url: of the API server.
        folder: certificates, kubeconfigs, data, logs; gone afterwards.
        rest: plain requests of an administrator.
    """

    def __init__(
        self, tools: Mapping[str, Path], flags: Mapping[str, Sequence[str]], address: str = LOOPBACK
    ) -> None:
        self._tools = tools
        self._servers = Servers()
        self._ports = [Port(), Port(), Port()]
        self.folder = self._servers.folder
        api, etcd, peer = (port.number for port in self._ports)
        self._layout = Layout(self.folder, tools, api, etcd, peer, flags, address)
        self.url = self._layout.url
        self._authority = Authority()
        own = Identity(self._authority.certificate, self._authority.key)
        server = self._authority.server(list(dict.fromkeys([*commands.SERVER_NAMES, address])))
        files = commands.files(own, server, signing_key())
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        self._access = Access(self.folder, self._authority)
        self.rest: Rest = self._access.rest(self.url, ADMIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends every server and removes the folder. May be called again."""
        self.rest.close()
        self._servers.close()
        for port in self._ports:
            port.close()

    def start_api_server(self) -> None:
        """Starts it and waits until it is ready."""
        self._servers.start(API_SERVER, commands.api_server(self._layout))
        self._servers.wait_until(self._is_ready, API_SERVER, ETCD)

    def stop_api_server(self) -> None:
        """Kills it, as a crash would; connections are refused from then on."""
        self._servers.kill(API_SERVER)

    def restart_api_server(self) -> None:
        """Kills it and starts it on the same port with the same data."""
        self.stop_api_server()
        self.start_api_server()

    def start_etcd(self) -> None:
        """Starts it with the data it had and waits until the API server is ready again."""
        self._servers.start(ETCD, commands.etcd(self._layout))
        self._servers.wait_until(self._is_ready, API_SERVER, ETCD)

    def stop_etcd(self) -> None:
        """Kills it, as a crash would: the API server stays and can answer only what it remembers."""
        self._servers.kill(ETCD)

    @contextmanager
    def frozen(self, server: str = API_SERVER) -> Iterator[None]:
        """Halts a server until the block ends: connections are accepted and nothing answers."""
        keeper = self._keeper_of(server)
        keeper.freeze(server)
        try:
            yield
        finally:
            keeper.thaw(server)

    def forget_history(self) -> None:
        """Makes every older resourceVersion answer 410 Gone: compacts etcd and restarts the API server.

        The restart is needed: an API server's watch cache remembers what etcd no longer knows.
        """
        revision = self._etcd("/v3/maintenance/status", {})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.restart_api_server()

    def log(self, server: str) -> str:
        """What a server, such as "kube-apiserver", has said."""
        return self._keeper_of(server).log(server)

    def pids(self) -> dict[str, int]:
        """Of the servers, by name; to measure them."""
        return dict(self._servers.pids)

    def _keeper_of(self, server: str) -> Servers:
        """Who keeps a server."""
        return self._servers

    def _start_storage(self) -> None:
        self._servers.start(ETCD, commands.etcd(self._layout))
        self.start_api_server()

    def _start_controllers(self) -> None:
        self._servers.start(
            CONTROLLER_MANAGER, commands.controller_manager(self._layout, self._master("kcm"))
        )
        self._wait_for_account("default")

    def _start_scheduler(self) -> None:
        self._servers.start(SCHEDULER, commands.scheduler(self._layout, self._master("scheduler")))

    def _master(self, user: str) -> Path:
        return self._access.kubeconfig(self.url, user, [MASTERS])

    def _has_controllers(self) -> bool:
        return self._servers.runs(CONTROLLER_MANAGER)

    def _is_ready(self) -> bool:
        try:
            return self.rest.text("/readyz") == "ok"
        except RestError:
            return False

    def _wait_for_account(self, namespace: str) -> None:
        """Until the controllers have seen a namespace; without its ServiceAccount no pod is admitted."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._servers.wait_until(lambda: bool(self.rest.get(accounts)["items"]), CONTROLLER_MANAGER)

    def _etcd(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = urllib3.request("POST", f"{self._layout.etcd_url}{path}", body=json.dumps(body))
        answer: dict[str, Any] = response.json()
        return answer
