"""A cluster with a node: its pods really run, in containers on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import urllib3
from tests.cluster import commands as servers_commands
from tests.cluster.cluster import Cluster
from tests.cluster.commands import API_SERVER, ETCD
from tests.cluster.node import commands
from tests.cluster.node.commands import CONTAINERD, KUBELET, NODE, NODE_USERS, PAUSE, NodeLayout
from tests.cluster.node.images import write_image
from tests.cluster.node.machine import Machine
from tests.cluster.node.preflight import ability
from tests.cluster.node.volumes import LocalVolumes
from tests.cluster.pki import Identity
from tests.cluster.programs import NODE_RELEASES, Release
from tests.cluster.rest import RestError
from tests.cluster.servers import ServerError, Servers

TOOLBOX = "localhost/toolbox:1"
"""An image of every node; what it can do, tests/cluster/go/toolbox/main.go says."""
_HEALTH_SECONDS = 2
_UNPACKED = re.compile(r"^unpacking (\S+) ", re.MULTILINE)
_MANAGED = 'labels."io.cri-containerd.image"==managed'


class NodeError(Exception):
    """No node can run here, or it refused something; says why."""


class NodeCluster(Cluster):
    """A cluster with all controllers, the scheduler, and one node. Made by `NodeCluster.start`.

    The control plane runs on this machine, the node on a machine within it, which has processes, mounts and a
    network of its own (`namespaces.py`): containerd, kubelet, kube-proxy and CoreDNS. Any number of clusters
    may run side by side. Pods reach one another, Services, the API server, and this machine at `address`;
    and nothing beyond.

    Attributes:
        machine: the node's.
    """

    _RELEASES: ClassVar[Sequence[Release]] = NODE_RELEASES

    def __init__(self, tools: Mapping[str, Path], flags: Mapping[str, Sequence[str]]) -> None:
        if problem := ability().problem:
            raise NodeError(problem)
        self.machine = Machine.anywhere()
        self._volumes: LocalVolumes | None = None
        try:
            super().__init__(tools, commands.with_a_node(flags), self.machine.network.host)
            self._node = self._lay_out()
        except BaseException:
            self.machine.close()
            raise

    @classmethod
    def start(
        cls,
        *,
        controllers: bool = True,
        scheduler: bool = True,
        manifests: Sequence[Path] = (),
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Starts a cluster and waits until its node is ready for pods.

        Raises:
            NodeError: this machine can't run a node; the message says why.
            ToolsError, ServerError: as of `Cluster.start`.
        """
        return super().start(controllers=controllers, scheduler=scheduler, manifests=manifests, flags=flags)

    def stop(self) -> None:
        """Ends every pod and server and removes the folders. May be called again."""
        if self._volumes:
            self._volumes.close()
        self.machine.close()
        super().stop()

    @property
    def address(self) -> str:
        """This machine's address as the node's pods see it; what a test serves there they reach."""
        return self.machine.network.host

    def load_image(self, archive: Path) -> list[str]:
        """Gives the node an image of an OCI or Docker archive; returns its names. Pods ask for it with
        `imagePullPolicy: IfNotPresent` or `Never`.

        Raises:
            NodeError: containerd refuses it.
        """
        said = self._ctr("images", "import", "--snapshotter", self._node.snapshotter, str(archive))
        names = _UNPACKED.findall(said)
        self.machine.wait_until(lambda: set(names) <= set(self.images()), CONTAINERD)
        return names

    def remove_image(self, name: str) -> None:
        """Takes an image from the node; containers that run go on.

        Raises:
            NodeError: there is none of that name.
        """
        if name not in self.images():
            raise NodeError(f"the node has no image {name}")
        self._ctr("images", "remove", "--sync", name)
        self.machine.wait_until(lambda: name not in self.images(), CONTAINERD)

    def images(self) -> list[str]:
        """Names of the images that pods can have."""
        return self._ctr("images", "list", "--quiet", _MANAGED).split()

    def kill(self, server: str) -> None:
        """Kills a server, as a crash would. Containers outlive containerd and the kubelet."""
        self._keeper_of(server).kill(server)

    def restart(self, server: str) -> None:
        """Kills a server, if it runs, and starts it with what it had; waits until it is well."""
        keeper = self._keeper_of(server)
        if keeper.runs(server):
            keeper.kill(server)
        if keeper is self.machine:
            self._start_on_node(server)
            return
        keeper.start(server, self._command(server))
        keeper.wait_until(self._is_ready, server)

    def node_is_ready(self) -> bool:
        """Whether pods are scheduled to it."""
        with suppress(RestError):
            node = self.rest.get(f"/api/v1/nodes/{NODE}")
            ready = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
            return ready.get("Ready") == "True" and not node["spec"].get("taints")
        return False

    def _lay_out(self) -> NodeLayout:
        folder, network = self.machine.folder, self.machine.network
        kubeconfigs = {name: self._access.kubeconfig(self.url, *NODE_USERS[name]) for name in NODE_USERS}
        snapshotter = "overlayfs" if ability().overlay else "native"
        layout = NodeLayout(folder, self._tools, network, self.folder / "ca.crt", kubeconfigs, snapshotter)
        for name, content in commands.files(layout).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        _write(folder / KUBELET, self._authority.server([network.node, NODE]))
        client = self._authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        _write(self.folder / "kubelet-client", client)
        return layout

    def _start_servers(self, controllers: bool, scheduler: bool, manifests: Sequence[Path]) -> None:
        """containerd comes up beside the control plane; the kubelet needs both."""
        ours = commands.commands(self._node)
        self.machine.start(CONTAINERD, ours[CONTAINERD])
        super()._start_servers(controllers, scheduler, manifests)
        self._volumes = LocalVolumes(self.rest, self.machine.folder / "volumes")
        self.machine.wait_until(partial(self._is_well, CONTAINERD), CONTAINERD)
        self._load_own_images()
        others = [name for name in ours if name != CONTAINERD]
        for name in others:
            self.machine.start(name, ours[name])
        for name in others:
            self.machine.wait_until(partial(self._is_well, name), name)
        if controllers:
            self.machine.wait_until(self.node_is_ready, KUBELET)

    def _load_own_images(self) -> None:
        archive = self.machine.folder / "image.tar"
        for name, entrypoint in ((PAUSE, ["/toolbox", "pause"]), (TOOLBOX, ["/toolbox"])):
            write_image(archive, name, {"toolbox": self._tools["toolbox"]}, entrypoint)
            self.load_image(archive)
        archive.unlink()

    def _start_on_node(self, server: str) -> None:
        self.machine.start(server, commands.commands(self._node)[server])
        self.machine.wait_until(partial(self._is_well, server), server)

    def _is_well(self, server: str) -> bool:
        if server == CONTAINERD:
            with suppress(NodeError):
                return "io.containerd.grpc.v1 cri" in " ".join(self._ctr("plugins", "list").split())
            return False
        with suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request("GET", self._node.health(server), timeout=_HEALTH_SECONDS, retries=False)
            return answer.status == 200
        return False

    def _command(self, server: str) -> list[str]:
        """Of a server of the control plane."""
        if server == ETCD:
            return servers_commands.etcd(self._layout)
        if server == API_SERVER:
            return servers_commands.api_server(self._layout)
        if server == servers_commands.SCHEDULER:
            return servers_commands.scheduler(self._layout, self._master("scheduler"))
        if server == servers_commands.CONTROLLER_MANAGER:
            return servers_commands.controller_manager(self._layout, self._master("kcm"))
        raise ServerError(f"there is no {server}")

    def _keeper_of(self, server: str) -> Servers:
        return self.machine if server in commands.commands(self._node) else super()._keeper_of(server)

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self._node.socket), "--namespace", "k8s.io", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise NodeError(f"ctr {' '.join(arguments[:2])}: {ran.stderr.strip()}")
        return ran.stdout


def _write(stem: Path, identity: Identity) -> None:
    stem.with_suffix(".crt").write_bytes(identity.certificate)
    stem.with_suffix(".key").write_bytes(identity.key)
