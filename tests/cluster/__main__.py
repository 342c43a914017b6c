"""`python -m tests.cluster tools` makes the programs of a cluster; `... up` runs one until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.cluster.cluster import Cluster
from tests.cluster.node import NodeCluster
from tests.cluster.programs import NODE_RELEASES, RELEASES
from tests.cluster.servers import ServerError
from tests.cluster.tools import ToolsError, make_tools


def _say(line: object) -> None:
    print(line, flush=True)


def _tools(_: argparse.Namespace) -> None:
    releases = NODE_RELEASES if sys.platform == "linux" else RELEASES
    for path in make_tools(_say, releases).values():
        _say(path)


def _up(chosen: argparse.Namespace) -> None:
    kind = NodeCluster if chosen.node else Cluster
    controllers, scheduler = chosen.controllers or chosen.node, chosen.scheduler or chosen.node
    with kind.start(controllers=controllers, scheduler=scheduler) as cluster:
        _say(f"export KUBECONFIG={cluster.kubeconfig()}")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main() -> int:
    """Runs a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tools = commands.add_parser("tools", help="find, download or build the programs, and say where they are")
    tools.set_defaults(run=_tools)
    up = commands.add_parser("up", help="run a cluster until Ctrl-C and say where its kubeconfig is")
    up.add_argument("--controllers", action="store_true", help="with kube-controller-manager")
    up.add_argument("--scheduler", action="store_true", help="with kube-scheduler")
    up.add_argument(
        "--node", action="store_true", help="with all of these and a node that runs pods; as root"
    )
    up.set_defaults(run=_up)
    chosen = parser.parse_args()
    try:
        chosen.run(chosen)
    except (ToolsError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
