"""The node's parts that decide: addresses, flags, files, volumes, images. Nothing is started."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from tests.cluster.node import commands, preflight, volumes, write_image
from tests.cluster.node.commands import COREDNS, KUBE_PROXY, KUBELET, NodeLayout
from tests.cluster.node.network import Network, candidates, routes

ROOT = Path(__file__).parents[3]
NETWORK = Network(IPv4Network("10.200.17.0/24"))
TOOLS = {name: Path("/tools") / name for name in (KUBELET, KUBE_PROXY, COREDNS)}
LAYOUT = NodeLayout(
    Path("/tmp/avatar-node-x"),
    TOOLS,
    NETWORK,
    Path("/ca.crt"),
    {name: Path("/users") / name for name in TOOLS},
    "overlayfs",
)


def test_a_network_has_room_for_the_cable_and_the_pods() -> None:
    assert (NETWORK.host, NETWORK.node, NETWORK.bridge) == ("10.200.17.1", "10.200.17.2", "10.200.17.129")
    assert NETWORK.pods.subnet_of(NETWORK.whole)
    assert not NETWORK.pods.overlaps(IPv4Network(f"{NETWORK.host}/{NETWORK.cable_prefix}", strict=False))
    assert len(NETWORK.cable) < 16, "the kernel allows names no longer"


def test_no_network_is_tried_to_which_a_route_leads() -> None:
    rows = ("eth0 00000000 0100000A 3 0 0 0 00000000 0 0 0", "eth0 0000C00A 0 1 0 0 0 00F8FFFF 0 0 0")
    table = "\n".join(["Iface Destination Gateway", *rows])
    taken = routes(table)
    assert taken == [IPv4Network("10.192.0.0/21")], "the default route leads everywhere and takes nothing"
    tried = {network.whole for network in candidates()}
    assert len(tried) > 1000
    cables = {Network(whole).cable for whole in tried}
    assert len(cables) == len(tried)


def test_flags_of_a_test_replace_those_of_the_node() -> None:
    flags = commands.with_a_node(
        {"kube-controller-manager": ["--controllers=*,-x", "--v=2"], "etcd": ["--a"]}
    )
    assert flags["kube-controller-manager"] == ["--controllers=*,-x", "--v=2"]
    assert flags["etcd"] == ["--a"]
    assert "--kubelet-certificate-authority=ca.crt" in flags["kube-apiserver"]


def test_all_that_a_node_writes_lies_in_its_folder() -> None:
    kubelet = yaml.safe_load(commands.files(LAYOUT)["kubelet.yaml"])
    for name in ("podLogsDir", "tlsCertFile", "volumePluginDir"):
        assert kubelet[name].startswith("/tmp/avatar-node-x/")
    assert f"--root-dir={LAYOUT.folder}/kubelet" in commands.commands(LAYOUT)[KUBELET]
    assert kubelet["cgroupRoot"] == "/avatar-node-x"
    network = json.loads(commands.files(LAYOUT)["cni/pods.conflist"])
    assert network["plugins"][0]["ipam"]["dataDir"].startswith("/tmp/avatar-node-x/")


def _claim(uid: str, **spec: str) -> volumes.Json:
    about = {"uid": uid, "name": uid, "namespace": "n"}
    wants = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": about, "spec": {**wants, **spec}}


def test_a_claim_gets_one_volume_and_others_claims_none() -> None:
    mine = _claim("a", storageClassName="local")
    others = [_claim("b", storageClassName="fast"), _claim("c", storageClassName="local", volumeName="v")]
    assert list(volumes.waiting([mine, *others], [])) == [mine]
    made = volumes.volume(mine, Path("/volumes"))
    assert list(volumes.waiting([mine, *others], [made])) == []
    assert made["spec"]["local"]["path"] == "/volumes/claim-a"
    assert volumes.released([made, {**made, "status": {"phase": "Bound"}}]) == []
    assert volumes.released([{**made, "status": {"phase": "Released"}}]) == ["claim-a"]


def test_an_image_is_what_its_digests_say(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"runs")
    write_image(tmp_path / "image.tar", "localhost/a:1", {"/bin/a": tmp_path / "program"}, ["/bin/a"])
    with tarfile.open(tmp_path / "image.tar") as tar:
        blobs = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    manifest = json.loads(blobs["index.json"])["manifests"][0]
    assert manifest["annotations"]["org.opencontainers.image.ref.name"] == "localhost/a:1"
    for name, blob in blobs.items():
        assert not name.startswith("blobs") or name == f"blobs/sha256/{sha256(blob).hexdigest()}"


def _problem() -> str | None:
    preflight.ability.cache_clear()
    try:
        return preflight.node_problem()
    finally:
        preflight.ability.cache_clear()


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in (_problem() or "")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path: None if name == "runc" else f"/bin/{name}")
    monkeypatch.setattr(preflight, "CNI_PLUGINS", "/absent")
    said = _problem() or ""
    assert "runc, /absent/bridge, /absent/host-local" in said
    assert "containernetworking-plugins" in said


@pytest.mark.node
@pytest.mark.parametrize(("lacking", "refused"), [("sys_admin", "no namespaces"), ("net_admin", "no bridge")])
def test_what_the_machine_refuses_is_told(node_tools: None, lacking: str, refused: str) -> None:
    program = "from tests.cluster.node import node_problem; print(node_problem())"
    command = ["setpriv", f"--bounding-set=-{lacking}", sys.executable, "-c", program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"this machine can't run a node: {refused}: ")
    assert "not permitted" in said
