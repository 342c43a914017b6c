"""Clusters with a real node, whose pods really run. `docs/testing-cluster.md` shows how they are used."""

from tests.cluster.node.cluster import TOOLBOX, NodeCluster, NodeError
from tests.cluster.node.images import write_image
from tests.cluster.node.preflight import node_problem

__all__ = ["TOOLBOX", "NodeCluster", "NodeError", "node_problem", "write_image"]
