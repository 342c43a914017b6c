"""The finders on a GPU say what they say on the CPU, whatever the rest of the process asks of cuDNN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import skimage.data
import torch
from tests.inference.musetalk.expected import reading, seeded

from avatar_inference.musetalk.bisenet import BiSeNet
from avatar_inference.musetalk.faces import FaceFinder
from avatar_inference.musetalk.labels import FaceParser
from avatar_inference.musetalk.points import PointFinder
from avatar_inference.musetalk.rtmpose import RtmPose
from avatar_inference.musetalk.s3fd import S3fd

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and torch sees none"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
PICTURE = skimage.data.astronaut()


@pytest.fixture(autouse=True)
def racing() -> Iterator[None]:
    """As the engine leaves cuDNN when it has recorded its networks."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True):
        yield
        assert torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.allow_tf32


def test_points() -> None:
    here, there = (PointFinder(reading.filled(RtmPose(), seeded.rtmpose_weights, 1), on) for on in (CPU, GPU))
    found, wanted = there(PICTURE), here(PICTURE)
    assert (found == wanted).all(axis=1).mean() >= 0.99
    assert all((there(PICTURE) == found).all() for _ in range(3))


def test_faces() -> None:
    here, there = (FaceFinder(reading.filled(S3fd(), seeded.s3fd_weights, 2), on) for on in (CPU, GPU))
    found, wanted = there(PICTURE), here(PICTURE)
    assert len(found) == len(wanted) > 40
    boxes = np.array([[box for box, _ in faces] for faces in (found, wanted)])
    assert np.abs(boxes[0] - boxes[1]).max() <= 1
    np.testing.assert_allclose([s for _, s in found], [s for _, s in wanted], atol=1e-4)
    assert all(there(PICTURE) == found for _ in range(3))


def test_labels() -> None:
    here, there = (FaceParser(reading.filled(BiSeNet(), seeded.bisenet_weights, 3), on) for on in (CPU, GPU))
    found = there(PICTURE)
    assert (found == here(PICTURE)).mean() >= 0.999
    assert all((there(PICTURE) == found).all() for _ in range(3))
