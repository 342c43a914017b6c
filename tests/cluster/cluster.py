"""A real Kubernetes API on this machine: etcd and kube-apiserver, and controllers and scheduler when asked."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import urllib3
from tests.cluster import commands
from tests.cluster.access import ADMIN, MASTERS, Access
from tests.cluster.audit import Request, read_audit_log
from tests.cluster.commands import API_SERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, Layout
from tests.cluster.kubelet import Kubelet, Script
from tests.cluster.link import Link
from tests.cluster.pki import Authority, Identity, signing_key
from tests.cluster.rest import Rest, RestError
from tests.cluster.servers import Port, Servers
from tests.cluster.throttling import throttle, unthrottle
from tests.cluster.tools import find_tools

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class KubectlError(Exception):
    """kubectl failed; the message is what it said."""


class Cluster:
    """One running cluster. Made by `Cluster.start`; it ends with the block, or with this process.

    Any number of them may run side by side. Everything they write is in one temporary folder.

    Attributes:
        url: of the API server.
        folder: certificates, kubeconfigs, logs (kube-apiserver.log...).
        rest: plain requests of an administrator.
    """

    def __init__(
        self, servers: Servers, tools: Mapping[str, Path], flags: Mapping[str, Sequence[str]]
    ) -> None:
        self._servers, self._tools = servers, tools
        self.folder = servers.folder
        self._ports = [Port(), Port(), Port()]
        self._layout = Layout(self.folder, tools, *(port.number for port in self._ports), flags)
        self._links: list[Link] = []
        self.url = self._layout.url
        authority = Authority()
        server = authority.server(commands.SERVER_NAMES)
        own = Identity(authority.certificate, authority.key)
        for name, content in commands.files(own, server, signing_key()).items():
            (self.folder / name).write_bytes(content)
        self._access = Access(self.folder, authority)
        self.rest: Rest = self._access.rest(self.url, ADMIN)

    @classmethod
    def start(
        cls,
        *,
        controllers: bool = False,
        scheduler: bool = False,
        manifests: Sequence[Path] = (),
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Starts a cluster and waits until it answers.

        Args:
            controllers: with the controller manager: Jobs get pods, owners take their dependents along, namespaces
                vanish, ServiceAccounts appear. All but the node lifecycle.
            scheduler: with the scheduler; otherwise pods wait unbound until a test binds them.
            manifests: applied before the controllers start. Custom resources belong here: the garbage collector
                looks for new kinds only every 30 s.
            flags: more flags by the server's name, such as
                {"kube-controller-manager": ["--kube-api-qps=500", "--kube-api-burst=1000"]}.

        Raises:
            ToolsError: the programs are not there; the message says what to do.
            ServerError: a server did not start; the message has the end of its log.
        """
        tools = find_tools()
        servers = Servers()
        try:
            cluster = cls(servers, tools, flags or {})
            cluster._start_all(manifests, controllers=controllers, scheduler=scheduler)
        except BaseException:
            servers.close()
            raise
        return cluster

    def _start_all(self, manifests: Sequence[Path], *, controllers: bool, scheduler: bool) -> None:
        self._servers.start(ETCD, commands.etcd(self._layout))
        self.start_api_server()
        for manifest in manifests:
            self.apply(manifest)
        for wanted, name, command in (
            (controllers, CONTROLLER_MANAGER, commands.controller_manager),
            (scheduler, SCHEDULER, commands.scheduler),
        ):
            if wanted:
                credentials = self.kubeconfig(f"system:{name}", [MASTERS])
                self._servers.start(name, command(self._layout, credentials))
        if controllers:
            self._servers.wait_until(lambda: self._has_account("default"), CONTROLLER_MANAGER)

    def stop(self) -> None:
        """Ends every server and removes the folder. May be called again."""
        for link in self._links:
            link.close()
        self.rest.close()
        self._servers.close()
        for port in self._ports:
            port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Who asks

    def kubeconfig(self, user: str = ADMIN, groups: Sequence[str] = (), *, link: Link | None = None) -> Path:
        """A kubeconfig for a user, who need not be announced anywhere: a client certificate says who it is.

        Any name will do, "system:serviceaccount:NAMESPACE:NAME" too; RBAC decides what it may. "admin" may everything.
        """
        return self._access.kubeconfig(self._url(link), user, groups)

    def token_kubeconfig(self, token: str, *, link: Link | None = None) -> Path:
        """A kubeconfig for whoever the token belongs to."""
        return self._access.token_kubeconfig(self._url(link), token)

    def client(self, user: str, groups: Sequence[str] = (), *, link: Link | None = None) -> ApiClient:
        """A new client of the official package; to be closed by the caller."""
        return self._access.client(self.kubeconfig(user, groups, link=link))

    @cached_property
    def admin(self) -> ApiClient:
        """The administrator's client of the official package: `CoreV1Api(cluster.admin)`."""
        return self._access.client(self.kubeconfig())

    def token(self, namespace: str, account: str = "default", *, audience: str = "", pod: str = "") -> str:
        """A ServiceAccount's token, for one audience and bound to a pod's name if given."""
        spec: dict[str, Any] = {"expirationSeconds": 3600}
        if audience:
            spec["audiences"] = [audience]
        if pod:
            uid = self.rest.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.rest.post(path, request)["status"]["token"])

    # What is there

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str = "") -> str:
        """Runs kubectl and returns its output.

        Raises:
            KubectlError: it failed.
        """
        command = [str(self._tools["kubectl"]), f"--kubeconfig={self.kubeconfig(user)}", *arguments]
        environment = {"HOME": str(self.folder)}  # its cache of discovery is the cluster's
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment)
        if ran.returncode:
            raise KubectlError(ran.stderr.strip())
        return ran.stdout

    def apply(self, manifest: Path | str) -> None:
        """Applies a file, a folder of files, or the text of a manifest; custom resources are ready afterwards."""
        source, stdin = ("-", manifest) if isinstance(manifest, str) else (str(manifest), "")
        applied = self.kubectl("apply", "--server-side", "-f", source, "-o", "name", stdin=stdin).split()
        definitions = [name for name in applied if name.startswith("customresourcedefinition.")]
        if definitions:
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *definitions)

    def create_namespace(self, prefix: str = "test") -> str:
        """Makes a namespace of a new name; with controllers its default ServiceAccount is there too."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.rest.post(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        if self._servers.runs(CONTROLLER_MANAGER):
            self._servers.wait_until(lambda: self._has_account(name), CONTROLLER_MANAGER)
        return name

    def kubelet(self, namespace: str, script: Script | None = None) -> Kubelet:
        """A played kubelet for the pods of a namespace, to be used as a context manager."""
        return Kubelet(self.rest, namespace, script)

    def audit_log(self, user: str | None = None, *, since: datetime | None = None) -> list[Request]:
        """What users asked and got, in order: everybody but the cluster itself and administrators.

        A request is in the log before its answer leaves.
        """
        return read_audit_log(self._layout.audit_log, user, since)

    def log(self, server: str) -> str:
        """What a server, such as "kube-apiserver", has said."""
        return self._servers.log(server)

    # What goes wrong

    def link(self) -> Link:
        """A new way to the API server that can be cut, stalled and refused; for `kubeconfig` and `client`."""
        link = Link(self._layout.api_port)
        self._links.append(link)
        return link

    def cut_watches(self) -> None:
        """Resets the connections of every link, and so every watch that goes through one."""
        for link in self._links:
            link.cut()

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
        self._servers.freeze(server)
        try:
            yield
        finally:
            self._servers.thaw(server)

    def forget_history(self) -> None:
        """Makes every older resourceVersion answer 410 Gone: compacts etcd and restarts the API server.

        The restart is needed: an API server's watch cache remembers what etcd no longer knows.
        """
        revision = self._etcd("/v3/maintenance/status", {})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.restart_api_server()

    @contextmanager
    def throttled(self, user: str) -> Iterator[None]:
        """Answers every request of a user with 429 and Retry-After until the block ends."""
        throttle(self.rest, user)
        try:
            yield
        finally:
            unthrottle(self.rest, user)

    def _url(self, link: Link | None) -> str:
        return f"https://127.0.0.1:{link.port}" if link else self.url

    def _is_ready(self) -> bool:
        try:
            return self.rest.text("/readyz") == "ok"
        except RestError:
            return False

    def _has_account(self, namespace: str) -> bool:
        try:
            return bool(self.rest.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
        except RestError:
            return False

    def _etcd(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = urllib3.request("POST", f"{self._layout.etcd_url}{path}", body=json.dumps(body))
        answer: dict[str, Any] = response.json()
        return answer
