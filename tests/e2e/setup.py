"""Images built, chart installed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.node import NodeCluster
from tests.cluster.programs import KUBERNETES, cache
from tests.e2e.commands import Shell
from tests.e2e.installation import ROOT, Installation

ARCHIVES = cache() / "images" / "archives"
HELM = Path(sys.executable).with_name("helm")


def build_images() -> list[Path]:
    """Files of the images as the tree is; what did not change is not built again.

    Raises:
        RuntimeError: they can't be built; with what was said.
    """
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools/images"), "--archives", str(ARCHIVES)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"no images: {ran.stderr.strip()[-1500:]}")
    return sorted(ARCHIVES.glob("*.tar"))


def install(node: NodeCluster, home: Path) -> Installation:
    """Installs the chart without any value."""
    shell = Shell(KUBERNETES.cache / "kubectl", HELM, node.kubeconfig(), home)
    installation = Installation(shell)
    began = time.monotonic()
    installation.install()
    installation.seconds = time.monotonic() - began
    return installation
