"""BiSeNet against MuseTalk's own parser with the same weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from tests.inference.musetalk.expected import reading, seeded

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.musetalk.bisenet import PARTS, BiSeNet
from avatar_inference.musetalk.labels import FaceParser

SEED = 3
CPU = torch.device("cpu")
PICTURES = ("astronaut", "squares")


def picture(name: str) -> NDArray[np.uint8]:
    if name == "squares":
        return seeded.picture(1, 640, 640)
    return np.ascontiguousarray(skimage.data.astronaut()[20:220, 120:320])


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    return reading.stored("bisenet")


@pytest.fixture(scope="module")
def network() -> BiSeNet:
    return reading.filled(BiSeNet(), seeded.bisenet_weights, SEED)


@pytest.fixture(scope="module")
def parser(network: BiSeNet) -> FaceParser:
    return FaceParser(network, CPU)


@pytest.fixture(scope="module")
def small() -> FaceParser:
    return FaceParser(reading.filled(BiSeNet(8), seeded.bisenet_weights, SEED), CPU)


def test_names_and_shapes_are_the_checkpoints(network: BiSeNet, expected: dict[str, NDArray[Any]]) -> None:
    assert sorted(seeded.listing(reading.shapes(network))) == sorted(expected["names"])


@pytest.mark.parametrize("name", PICTURES)
def test_logits_and_labels_equal_upstreams(
    name: str, parser: FaceParser, expected: dict[str, NDArray[Any]]
) -> None:
    inputs, logits = parser.logits(picture(name))
    np.testing.assert_allclose(inputs[0, :, ::37, ::41].numpy(), expected[f"{name}_inputs"], atol=1e-6)
    np.testing.assert_allclose(logits[0, :, ::37, ::41].numpy(), expected[f"{name}_logits"], atol=1e-4)
    labels = parser(picture(name))
    assert labels.dtype == np.uint8
    assert labels.shape == (512, 512)
    assert (labels == expected[f"{name}_labels"]).mean() >= 0.999
    assert len(np.unique(labels)) > 5
    assert labels.max() < PARTS


def test_results_do_not_depend_on_threads(small: FaceParser) -> None:
    shown = [picture(name) for name in PICTURES] * 4
    alone = [small(one) for one in shown]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(small, shown))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_crop_of_one_pixel_is_labelled_alike_all_over(small: FaceParser) -> None:
    labels = small(np.full((1, 1, 3), 90, np.uint8))
    assert labels.shape == (512, 512)


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        (np.zeros((64, 64, 3), np.float64), "uint8"),
        (np.zeros((64, 64), np.uint8), "RGB"),
        (np.zeros((64, 65, 3), np.uint8), "square"),
        (np.zeros((0, 0, 3), np.uint8), "1..8192"),
    ],
)
def test_bad_crops_are_refused(bad: Any, hint: str, small: FaceParser) -> None:
    with pytest.raises(InvalidInputError, match=hint) as caught:
        small(bad)
    assert caught.value.reason is Reason.INVALID_PICTURE
    assert caught.value.field == "picture"
