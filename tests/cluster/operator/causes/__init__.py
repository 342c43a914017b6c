"""Every reason and what causes it, as one table; `test_reasons.py` and `test_nodes.py` play it."""

from __future__ import annotations

from tests.cluster.operator.causes import cluster, line, nodes, processes, sessions
from tests.cluster.operator.causes.stage import Cause

# Those first for whom time runs.
COMMON: list[Cause] = [*cluster.CAUSES, *sessions.CAUSES, *processes.CAUSES]
LINE, NODES = line.CAUSES, nodes.CAUSES

__all__ = ["COMMON", "LINE", "NODES"]
