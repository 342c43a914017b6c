"""One cluster with the chart installed, for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.node import NodeCluster
from tests.e2e.installation import Installation
from tests.e2e.setup import build_images, install


@pytest.fixture(scope="session")
def archives(node_tools: None) -> list[Path]:
    """Files of the images; skips whoever asks if they can't be built, which in CI is a failure."""
    try:
        return build_images()
    except RuntimeError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def node(archives: list[Path]) -> Iterator[NodeCluster]:
    """A cluster that has the images."""
    with NodeCluster.start() as running:
        for archive in archives:
            running.load_image(archive)
        yield running


@pytest.fixture(scope="session")
def installed(node: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The chart, installed without any value."""
    home = tmp_path_factory.mktemp("home")
    return install(node, home)
