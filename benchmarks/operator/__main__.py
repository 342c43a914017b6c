"""The command line: one run, printed, and written down with everything that can be drawn of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import benchmarks.operator
from benchmarks.operator.foreign import ForeignPods
from benchmarks.operator.measure import Plan, lead, restart
from tests.cluster import Cluster
from tests.cluster.operators import CRDS, a_world

FAST = ["--kube-api-qps=500", "--kube-api-burst=1000"]


def main() -> None:
    """Measures, prints, writes."""
    arguments = _arguments()
    plan = Plan(
        sessions=arguments.burst or arguments.sessions,
        rate=0 if arguments.burst else arguments.rate,
        places=arguments.places,
        running=arguments.running,
        finished=arguments.finished,
        requests=arguments.requests,
    )
    flags = {"kube-controller-manager": FAST if arguments.kcm == "fast" else []}
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster.start(controllers=True, manifests=[CRDS], flags=flags) as cluster,
        a_world(cluster, Path(folder)) as world,
    ):
        world.bind("ClusterRoleBinding", "avatar-operator")
        found: dict[str, Any] = {
            "command": command(sys.argv[1:]),
            "cores": len(os.sched_getaffinity(0)),
            "python": sys.version.split()[0],
        }
        if plan.sessions:
            with ForeignPods(cluster, arguments.foreign, arguments.churn) as foreign:
                run = lead(world, plan)
            found |= {**run.found, "foreign_writes": foreign.writes}
        if plan.finished:
            found["restart"] = restart(world, plan)
        print(json.dumps(found, indent=1))
        if arguments.json:
            rows = {"rows": run.rows()} if plan.sessions else {}
            arguments.json.write_text(json.dumps({**found, **rows}) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=benchmarks.operator.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sessions", type=int, default=300, help="that come at a rate; 0: none")
    add("--rate", type=float, default=10, help="sessions a second")
    add(
        "--burst", type=int, default=0, help="so many sessions, all there before the operator starts, instead"
    )
    add("--places", type=int, default=200, help="sessions that may have a Job at once")
    add("--running", type=float, default=5, help="seconds that each pod runs")
    add("--foreign", type=int, default=0, help="pods of others")
    add("--churn", type=float, default=20, help="writes a second to pods of others")
    add("--kcm", choices=["fast", "default"], default="fast", help="how fast the controllers may ask")
    add("--requests", type=float, default=0, help="that the operator may make a second; 0: its default")
    add("--finished", type=int, default=0, help="measure a restart with so many finished sessions more")
    add("--json", type=Path, help="to write to; benchmarks.operator.plot draws it")
    return parser.parse_args()


def command(arguments: Sequence[str]) -> str:
    """How to run this again; where its JSON went is of no interest."""
    kept = list(arguments)
    if "--json" in kept:
        at = kept.index("--json")
        del kept[at : at + 2]
    return " ".join(["python -m benchmarks.operator", *kept])


if __name__ == "__main__":
    main()
