"""Images built, chart installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster.programs import KUBERNETES, cache
from tests.e2e.commands import Shell
from tests.e2e.installation import ROOT, Installation

ARCHIVES = cache() / "images" / "archives"
IMAGES, PEERS_IMAGE = ("avatar-operator", "avatar-inference"), "avatar-test-peers"
HELM = Path(sys.executable).with_name("helm")


def build_images(*, peers: bool = False) -> list[Path]:
    """Files of the images as the tree is; what did not change is not built again.

    Args:
        peers: servers of other people, instead of ours.

    Raises:
        RuntimeError: they can't be built; with what was said.
    """
    command = [sys.executable, str(ROOT / "tools/images"), "--archives", str(ARCHIVES)]
    command += ["--peers"] if peers else []
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"no images: {ran.stderr.strip()[-1500:]}")
    names = [PEERS_IMAGE] if peers else IMAGES
    return [ARCHIVES / f"{name}.tar" for name in names]


def reach(kubeconfig: Path, home: Path) -> Installation:
    """The chart, not yet installed.

    Args:
        kubeconfig: of an administrator.
        home: for caches of kubectl and helm.
    """
    return Installation(Shell(KUBERNETES.cache / "kubectl", HELM, kubeconfig, home))
