from __future__ import annotations

from pathlib import Path

import pytest

from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.weights import random_weights


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of random weights of all that draws, of the small layout."""
    folder = tmp_path_factory.mktemp("musetalk") / "weights"
    random_weights(folder, TINY, 0)
    return folder
