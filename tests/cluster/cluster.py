"""A real Kubernetes API on this machine, as a test wants it: users, namespaces, played nodes, faults."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tests.cluster.access import ADMIN, MASTERS
from tests.cluster.audit import Request, read_audit_log
from tests.cluster.commands import LOOPBACK
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubelet import Kubelet, Script
from tests.cluster.link import Link
from tests.cluster.programs import RELEASES, Release
from tests.cluster.refusals import Refusal, RefusingWebhook, configuration, lift, put_in_force
from tests.cluster.rest import Rest
from tests.cluster.tools import find_tools

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class KubectlError(Exception):
    """kubectl failed; the message is what it said."""


class Cluster(ControlPlane):
    """One running cluster. Made by `Cluster.start`; it ends with the block, or with this process.

    Any number of them may run side by side. Everything they write is in one temporary folder.
    """

    _RELEASES: ClassVar[Sequence[Release]] = RELEASES

    def __init__(
        self, tools: Mapping[str, Path], flags: Mapping[str, Sequence[str]], address: str = LOOPBACK
    ) -> None:
        super().__init__(tools, flags, address)
        self._links: list[Link] = []

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
            controllers: with the controller manager: Jobs get pods, owners take their dependents along,
                namespaces vanish, ServiceAccounts appear. All but the node lifecycle.
            scheduler: with the scheduler; otherwise pods wait unbound until a test binds them.
            manifests: applied before the controllers start. Custom resources belong here: the garbage
                collector looks for new kinds only every 30 s.
            flags: more flags by the server's name, such as
                {"kube-controller-manager": ["--kube-api-qps=500", "--kube-api-burst=1000"]}.

        Raises:
            ToolsError: the programs are not there; the message says what to do.
            ServerError: a server did not start; the message has the end of its log.
        """
        cluster = cls(find_tools(cls._RELEASES), flags or {})
        try:
            cluster._start_servers(controllers, scheduler, manifests)
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def _start_servers(self, controllers: bool, scheduler: bool, manifests: Sequence[Path]) -> None:
        self._start_storage()
        for manifest in manifests:
            self.apply(manifest)
        if scheduler:
            self._start_scheduler()
        if controllers:
            self._start_controllers()

    def stop(self) -> None:
        """Ends every server and removes the folder. May be called again."""
        for link in self._links:
            link.close()
        if "admin" in self.__dict__:
            self.admin.close()
        super().stop()

    def kubeconfig(self, user: str = ADMIN, groups: Sequence[str] = (), *, link: Link | None = None) -> Path:
        """A kubeconfig for a user, who need not be announced anywhere: a client certificate says who it is.

        Any name will do, "system:serviceaccount:NAMESPACE:NAME" too; RBAC decides what it may. "admin" may
        everything.
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
        return self.client(ADMIN)

    def rest_of(self, user: str, groups: Sequence[str] = (), *, link: Link | None = None) -> Rest:
        """Plain requests of a user; to be closed by the caller."""
        return self._access.rest(self._url(link), user, groups)

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

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str = "") -> str:
        """Runs kubectl and returns its output.

        Raises:
            KubectlError: it failed.
        """
        command = [str(self._tools["kubectl"]), f"--kubeconfig={self.kubeconfig(user)}", *arguments]
        environment = {"HOME": str(self.folder)}  # its cache of discovery is the cluster's
        ran = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if ran.returncode:
            raise KubectlError(ran.stderr.strip())
        return ran.stdout

    def apply(self, manifest: Path | str) -> None:
        """Applies a file, a folder, or the text of a manifest; custom resources are ready afterwards."""
        source, stdin = ("-", manifest) if isinstance(manifest, str) else (str(manifest), "")
        applied = self.kubectl("apply", "--server-side", "-f", source, "-o", "name", stdin=stdin).split()
        definitions = [name for name in applied if name.startswith("customresourcedefinition.")]
        if definitions:
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *definitions)

    def create_namespace(self, prefix: str = "test") -> str:
        """Makes a namespace of a new name; with controllers its default ServiceAccount is there too."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.rest.post("/api/v1/namespaces", namespace)
        if self._has_controllers():
            self._wait_for_account(name)
        return name

    def kubelet(self, namespace: str, script: Script | None = None) -> Kubelet:
        """A played kubelet for the pods of a namespace, to be used as a context manager."""
        return Kubelet(self.rest, namespace, script)

    def audit_log(self, user: str | None = None, *, since: datetime | None = None) -> list[Request]:
        """What users asked and got, in order: everybody but the cluster itself and administrators.

        A request is in the log before its answer leaves.
        """
        return read_audit_log(self._layout.audit_log, user, since)

    def link(self) -> Link:
        """A new way to the API server that can be cut, stalled and refused; for `kubeconfig` and `client`."""
        link = Link(self._layout.address, self._layout.api_port)
        self._links.append(link)
        return link

    def cut_watches(self) -> None:
        """Resets the connections of every link, and so every watch that goes through one."""
        for link in self._links:
            link.cut()

    @contextmanager
    def refusing(self, user: str, refusal: Refusal) -> Iterator[None]:
        """Refuses writes of a user until the block ends: storms of 409, 429 and 500."""
        name = f"refusals-{secrets.token_hex(4)}"
        webhook = RefusingWebhook(refusal, name, self.folder / "server.crt", self.folder / "server.key")
        with closing(self.rest_of(name, [MASTERS])) as probe, closing(webhook):
            ca = (self.folder / "ca.crt").read_bytes()
            put_in_force(self.rest, probe, configuration(name, [user, name], webhook.url, ca))
            try:
                yield
            finally:
                lift(self.rest, probe, name)

    def _url(self, link: Link | None) -> str:
        return f"https://127.0.0.1:{link.port}" if link else self.url
