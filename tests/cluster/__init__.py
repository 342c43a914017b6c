"""Real Kubernetes clusters for tests. `docs/testing-cluster.md` shows how they are used."""

from tests.cluster.audit import Request
from tests.cluster.cluster import Cluster, KubectlError
from tests.cluster.kubelet import Kubelet
from tests.cluster.link import Link
from tests.cluster.patience import eventually
from tests.cluster.pod_states import (
    IMAGE_PULL_BACK_OFF,
    NODE_LOST,
    OOM_KILLED,
    RUNNING,
    UNSCHEDULABLE,
    PodState,
    disrupted,
    ended,
    waiting,
)
from tests.cluster.refusals import Refusal
from tests.cluster.rest import Rest, RestError
from tests.cluster.servers import ServerError
from tests.cluster.tools import ToolsError

__all__ = [
    "IMAGE_PULL_BACK_OFF",
    "NODE_LOST",
    "OOM_KILLED",
    "RUNNING",
    "UNSCHEDULABLE",
    "Cluster",
    "KubectlError",
    "Kubelet",
    "Link",
    "PodState",
    "Refusal",
    "Request",
    "Rest",
    "RestError",
    "ServerError",
    "ToolsError",
    "disrupted",
    "ended",
    "eventually",
    "waiting",
]
