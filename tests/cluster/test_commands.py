"""Command lines of the servers."""

from __future__ import annotations

from pathlib import Path

from tests.cluster import commands
from tests.cluster.commands import API_SERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, Layout

TOOLS = {name: Path("/tools") / name for name in (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER)}


def test_a_flag_of_the_test_replaces_ours_and_others_are_added() -> None:
    wanted = ["--controllers=*", "--kube-api-qps=500"]
    layout = Layout(Path("/folder"), TOOLS, 1, 2, 3, {CONTROLLER_MANAGER: wanted})
    command = commands.controller_manager(layout, Path("/folder/kcm.kubeconfig"))
    assert command[-2:] == wanted
    assert [flag for flag in command if flag.startswith("--controllers")] == ["--controllers=*"]
    assert "--leader-elect=false" in command


def test_every_server_listens_on_loopback_only() -> None:
    layout = Layout(Path("/folder"), TOOLS, 1, 2, 3, {})
    assert "--bind-address=127.0.0.1" in commands.api_server(layout)
    assert all("127.0.0.1" in flag for flag in commands.etcd(layout) if "listen" in flag)
    for command in (commands.controller_manager, commands.scheduler):
        assert "--secure-port=0" in command(layout, Path("/folder/x.kubeconfig"))
