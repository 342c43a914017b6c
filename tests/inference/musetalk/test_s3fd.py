"""S3FD against MuseTalk's own detector with the same weights, and what is done with its boxes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.inference.musetalk.expected import reading, seeded

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.musetalk import faces
from avatar_inference.musetalk.faces import FaceFinder, suppress
from avatar_inference.musetalk.picture import as_batch, per_channel
from avatar_inference.musetalk.s3fd import S3fd

SEED = 2
CPU = torch.device("cpu")
PICTURES = ("astronaut", "squares")


def picture(name: str) -> NDArray[np.uint8]:
    if name == "squares":
        return seeded.picture(1, 203, 311)
    return np.ascontiguousarray(skimage.data.astronaut()[:256, 100:356])


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    return reading.stored("s3fd")


@pytest.fixture(scope="module")
def network() -> S3fd:
    return reading.filled(S3fd(), seeded.s3fd_weights, SEED)


@pytest.fixture(scope="module")
def finder(network: S3fd) -> FaceFinder:
    return FaceFinder(network, CPU)


@pytest.fixture(scope="module")
def small() -> FaceFinder:
    return FaceFinder(reading.filled(S3fd(8), seeded.s3fd_weights, SEED), CPU)


def test_names_and_shapes_are_the_checkpoints(network: S3fd, expected: dict[str, NDArray[Any]]) -> None:
    assert sorted(seeded.listing(reading.shapes(network))) == sorted(expected["names"])


@pytest.mark.parametrize("name", PICTURES)
def test_grids_equal_upstreams(name: str, network: S3fd, expected: dict[str, NDArray[Any]]) -> None:
    inputs = as_batch(picture(name), CPU) - per_channel((104, 117, 123), CPU)
    with torch.inference_mode():
        grids = network(inputs)
    assert len(grids) == 6
    for number, grid in enumerate(grids):
        for found, wanted in zip(
            grid, (expected[f"{name}_{2 * number + part}"] for part in (0, 1)), strict=True
        ):
            assert reading.relative(found[0, :, ::3, ::3].numpy(), wanted) < 1e-5


@pytest.mark.parametrize("name", PICTURES)
def test_faces_equal_upstreams(name: str, finder: FaceFinder, expected: dict[str, NDArray[Any]]) -> None:
    found, wanted = finder(picture(name)), expected[f"{name}_faces"]
    assert len(found) == len(wanted) > 40
    np.testing.assert_allclose([score for _, score in found], wanted[:, 4], atol=1e-5)
    boxes, whole = np.array([box for box, _ in found]), np.clip(wanted[:, :4], 0, None).astype(int)
    # Another processor's last bit can carry a side over a whole number.
    assert np.abs(boxes - whole).max() <= 1
    assert (boxes == whole).mean() >= 0.99
    assert np.abs(boxes[0] - expected[f"{name}_first"]).max() <= 1


def test_faces_come_best_first(small: FaceFinder) -> None:
    scores = [score for _, score in small(picture("squares"))]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert all(0.5 < score <= 1 for score in scores)


def test_no_face_is_no_error() -> None:
    network = reading.filled(S3fd(8), seeded.s3fd_weights, SEED)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("_conf.bias"):
                parameter[-1] -= 1000
    assert FaceFinder(network, CPU)(picture("squares")) == []


@pytest.mark.parametrize("growth", [60.0, 400.0, 1e9, float("nan")])
def test_boxes_without_end_are_no_faces(growth: float) -> None:
    network = reading.filled(S3fd(8), seeded.s3fd_weights, SEED)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("_loc.bias"):
                parameter[2:] += growth
    assert FaceFinder(network, CPU)(picture("squares")) == []


def test_results_do_not_depend_on_threads(small: FaceFinder) -> None:
    shown = [picture(name) for name in PICTURES] * 4
    alone = [small(one) for one in shown]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(small, shown)) == alone


@pytest.mark.parametrize("side", [32, 33, 47, 100])
def test_smallest_pictures_are_looked_at(side: int, small: FaceFinder) -> None:
    assert isinstance(small(seeded.picture(1, side, 32)), list)


def test_large_pictures_are_looked_at_scaled_down(small: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes are the small picture's, scaled back."""
    shown = picture("astronaut")
    large = np.kron(shown, np.ones((4, 4, 1), np.uint8))
    monkeypatch.setattr(faces, "PIXELS_MAX", 256 * 256)
    found, wanted = small(large), small(shown)
    assert len(found) == len(wanted) > 1
    difference = np.array([box for box, _ in found]) - 4 * np.array([box for box, _ in wanted])
    assert difference.min() >= 0
    assert difference.max() < 4


def test_an_8k_frame_is_bounded(small: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        small, "_candidates", lambda shown: seen.append(shown.shape) or np.empty((0, 5), "f4")
    )
    assert small(np.zeros((4320, 7680, 3), np.uint8)) == []
    height, width, _ = seen[0]
    assert faces.PIXELS_MAX * 0.99 < height * width <= faces.PIXELS_MAX
    assert width / height == pytest.approx(16 / 9, rel=0.01)


@pytest.mark.parametrize("side", [31, 8193])
def test_bad_sizes_are_refused(side: int, small: FaceFinder) -> None:
    with pytest.raises(InvalidInputError, match=r"32\.\.8192") as caught:
        small(np.zeros((32, side, 3), np.uint8))
    assert caught.value.reason is Reason.INVALID_PICTURE


@pytest.mark.parametrize("bad", [np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 1), np.uint8)])
def test_bad_pictures_are_refused(bad: Any, small: FaceFinder) -> None:
    with pytest.raises(InvalidInputError) as caught:
        small(bad)
    assert caught.value.field == "picture"


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two boxes of whole pixels whose last pixel is inside, counted one by one."""
    pixels = [
        {(x, y) for x in range(int(c[0]), int(c[2]) + 1) for y in range(int(c[1]), int(c[3]) + 1)}
        for c in (a, b)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


small_boxes = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(0, 9)] * 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(small_boxes, max_size=12))
def test_suppression_keeps_the_best_of_what_overlaps(sides: list[tuple[int, int, int, int]]) -> None:
    boxes = np.array([(x, y, x + w, y + h, 1 - i / 100) for i, (x, y, w, h) in enumerate(sides)], np.float32)
    boxes = boxes.reshape(-1, 5)
    kept = suppress(boxes, 0.3)
    rows = [int(np.flatnonzero((boxes == one).all(axis=1))[0]) for one in kept]
    assert rows == sorted(rows)
    for row, box in enumerate(boxes):
        better = [boxes[k] for k in rows if k < row]
        assert (row in rows) == all(overlap(box, one) <= 0.3 for one in better)
