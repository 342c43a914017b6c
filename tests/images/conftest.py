"""The images as the tree builds them, unpacked once for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.e2e.setup import build_images
from tests.images.unpacked import Unpacked


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Unpacked]:
    """By name. Skips whoever asks where they can't be built or entered, which in CI is a failure."""
    refuse = pytest.fail if os.environ.get("CI") else pytest.skip
    if os.geteuid() != 0:
        refuse("images are entered as root")
    try:
        archives = build_images()
    except RuntimeError as error:
        refuse(str(error))
    folder = tmp_path_factory.mktemp("images")
    return {archive.stem: Unpacked.of(archive, folder / archive.stem) for archive in archives}


@pytest.fixture(params=["avatar-operator", "avatar-inference"])
def image(request: pytest.FixtureRequest, images: dict[str, Unpacked]) -> Unpacked:
    """Each of them."""
    return images[request.param]


@pytest.fixture
def operator_image(images: dict[str, Unpacked]) -> Unpacked:
    """That of operator, sessions and gateway."""
    return images["avatar-operator"]


def folder_of_packages(image: Unpacked) -> Path:
    """Where its Python finds what is installed."""
    (found,) = (image.root / "opt/avatar/lib").glob("python3.*/site-packages")
    return found
