"""Command lines of a node's servers, and the files they read. Pure: nothing is started here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.commands import API_SERVER, CONTROLLER_MANAGER, with_flags
from tests.cluster.node.network import Network

CONTAINERD, KUBELET, KUBE_PROXY, COREDNS = "containerd", "kubelet", "kube-proxy", "coredns"
NODE = "node"
"""The node's name."""
PAUSE = "localhost/pause:1"
"""The image that holds pods' namespaces."""
CNI_PLUGINS = "/usr/lib/cni"
NODE_USERS = {
    KUBELET: (f"system:node:{NODE}", ("system:nodes",)),
    KUBE_PROXY: ("system:kube-proxy", ()),
    COREDNS: ("system:coredns", ("system:masters",)),
}
"""Who a server is to the API server: its name and groups."""
HEALTH_PORTS = {KUBELET: 10248, KUBE_PROXY: 10256, COREDNS: 8181}
HEALTH_PATHS = {KUBELET: "/healthz", KUBE_PROXY: "/healthz", COREDNS: "/ready"}


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """Where the parts of one node are.

    Attributes:
        folder: holds the files named in `files`, and all that the node writes.
        tools: programs by name.
        ca: file of the authority that signed everybody's certificates.
        kubeconfigs: by the server's name.
        snapshotter: "overlayfs", or "native" where that can't be mounted.
    """

    folder: Path
    tools: Mapping[str, Path]
    network: Network
    ca: Path
    kubeconfigs: Mapping[str, Path]
    snapshotter: str

    @property
    def socket(self) -> Path:
        """Of containerd."""
        return self.folder / "containerd.sock"

    def health(self, server: str) -> str:
        """The address at which a server says that it is well."""
        host = self.network.bridge if server == COREDNS else self.network.node
        return f"http://{host}:{HEALTH_PORTS[server]}{HEALTH_PATHS[server]}"


def with_a_node(flags: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What else servers of a cluster with a node are told; flags of the test's own replace ours."""
    ours = {
        API_SERVER: [
            "--endpoint-reconciler-type=lease",  # pods reach it as Service `kubernetes`
            "--enable-aggregator-routing=true",  # it reaches Services by their pods; it is on no pod network
            "--kubelet-client-certificate=kubelet-client.crt",
            "--kubelet-client-key=kubelet-client.key",
            "--kubelet-certificate-authority=ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
        ],
        CONTROLLER_MANAGER: ["--controllers=*"],
    }
    names = dict.fromkeys([*ours, *flags])
    return {name: with_flags(ours.get(name, ()), flags.get(name, ())) for name in names}


def commands(layout: NodeLayout) -> dict[str, list[str | Path]]:
    """Of the node's servers, by name, in the order of their start."""
    return {
        CONTAINERD: [CONTAINERD, "--config", "containerd.toml"],
        KUBELET: [
            layout.tools[KUBELET],
            "--config=kubelet.yaml",
            f"--kubeconfig={layout.kubeconfigs[KUBELET]}",
            f"--root-dir={layout.folder / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={layout.network.node}",
        ],
        KUBE_PROXY: [layout.tools[KUBE_PROXY], "--config=kube-proxy.yaml", f"--hostname-override={NODE}"],
        COREDNS: [layout.tools[COREDNS], "-conf", "Corefile"],
    }


def files(layout: NodeLayout) -> dict[str, str]:
    """What the servers read from the node's folder, by name."""
    return {
        "containerd.toml": _containerd(layout),
        "cni/pods.conflist": json.dumps(_cni(layout)),
        "kubelet.yaml": yaml.safe_dump(_kubelet(layout)),
        "kube-proxy.yaml": yaml.safe_dump(_kube_proxy(layout)),
        "Corefile": _corefile(layout),
    }


def _containerd(layout: NodeLayout) -> str:
    """restrict_oom_score_adj: without CAP_SYS_RESOURCE runc could not start containers."""
    folder = layout.folder
    return f"""\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{layout.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{layout.snapshotter}"
"""


def _cni(layout: NodeLayout) -> dict[str, Any]:
    """No masquerading: pods reach the node, this machine and nothing else."""
    pods = layout.network.pods
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": str(pods), "gateway": layout.network.bridge}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(layout.folder / "addresses"),
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(layout: NodeLayout) -> dict[str, Any]:
    """Its images are never collected, as they could not be pulled again."""
    folder = layout.folder
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.name}",
        "clusterDNS": [layout.network.bridge],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzBindAddress": layout.network.node,
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(folder / "pod-logs"),
        "resolvConf": "",
        "tlsCertFile": str(folder / "kubelet.crt"),
        "tlsPrivateKeyFile": str(folder / "kubelet.key"),
        "volumePluginDir": str(folder / "volume-plugins"),
    }


def _kube_proxy(layout: NodeLayout) -> dict[str, Any]:
    """What it would set for all connections of the kernel it leaves alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfigs[KUBE_PROXY])},
        "clusterCIDR": str(layout.network.pods),
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _corefile(layout: NodeLayout) -> str:
    """Names of the cluster; of others it says that there are none, so that nobody asks again and waits."""
    bind = f"bind {layout.network.bridge}"
    host = layout.network.bridge
    return f"""\
cluster.local in-addr.arpa {{
  {bind}
  errors
  ready {host}:{HEALTH_PORTS[COREDNS]}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {layout.kubeconfigs[COREDNS]}
    ttl 1
  }}
}}
. {{
  {bind}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
