"""One cluster with the chart installed, for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.node import NodeCluster
from tests.e2e.installation import Installation
from tests.e2e.peers.manifests import NAMESPACE, chat, voice
from tests.e2e.peers.running import Peers
from tests.e2e.setup import build_images, reach

KUBECONFIG = os.environ.get("KUBECONFIG")


@pytest.fixture(scope="session")
def archives(node_tools: None) -> list[Path]:
    """Files of the images of ours."""
    return _built()


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Iterator[NodeCluster]:
    """A cluster that has the images, on this machine, whose processes tests may kill."""
    if KUBECONFIG:
        pytest.skip("NOT ON SOMEBODY'S CLUSTER: this kills its processes; unset KUBECONFIG")
    archives = request.getfixturevalue("archives")
    with NodeCluster.start() as running:
        for archive in archives:
            running.load_image(archive)
        yield running


@pytest.fixture(scope="session")
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart as the file before left it: on the cluster that $KUBECONFIG names, else on one made here."""
    home = tmp_path_factory.mktemp("home")
    if not KUBECONFIG:
        yield reach(request.getfixturevalue("node").kubeconfig(), home)
        return
    theirs = reach(Path(KUBECONFIG), home)
    theirs.refuse_to_share()
    yield theirs
    theirs.leave()


@pytest.fixture(scope="module")
def installed(installation: Installation) -> Installation:
    """The chart, installed without any value."""
    installation.become()
    return installation


@pytest.fixture(scope="session")
def peers(request: pytest.FixtureRequest, installation: Installation) -> Peers:
    """An LLM proxy and a speech server, as pods. Somebody's cluster must have their image."""
    if not KUBECONFIG:
        (archive,) = _built(peers=True)
        request.getfixturevalue("node").load_image(archive)
    installation.namespace(NAMESPACE)
    made = Peers(installation.shell)
    made.start(chat(), "chat")
    made.start(voice(), "voice")
    return made


def _built(*, peers: bool = False) -> list[Path]:
    """Skips whoever asks if images can't be built, which in CI is a failure."""
    try:
        return build_images(peers=peers)
    except RuntimeError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
