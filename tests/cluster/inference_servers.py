"""A real `avatar serve` that asks for tokens, with the rights of its role and no more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.operators import CHART, binding
from tests.support.inference_process import ServeProcess, serve_process

AUDIENCE = "inference.avatars.dev"


@contextmanager
def inference_server(cluster: Cluster, folder: Path, *flags: str) -> Iterator[ServeProcess]:
    """Runs a server until the block ends."""
    user = f"inference-{secrets.token_hex(4)}"
    cluster.apply(CHART / "files/rbac/inference.yaml")
    bound = binding("ClusterRoleBinding", "avatar-inference", user)
    cluster.rest.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bound)
    own = {"KUBECONFIG": str(cluster.kubeconfig(user))}
    with serve_process(folder, "--token-audience", AUDIENCE, *flags, **own) as running:
        yield running
