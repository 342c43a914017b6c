"""RTMPose against mmpose 1.1.0 with the same weights, and the way from a picture to points and back."""

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
from avatar_inference.musetalk.points import PointFinder, cut_out, highest, mirrored, region, to_picture
from avatar_inference.musetalk.rtmpose import RtmPose

SEED, EVERY = 1, 19
CPU = torch.device("cpu")
PICTURES = ("astronaut", "tall", "squares")


def picture(name: str) -> NDArray[np.uint8]:
    if name == "squares":
        return seeded.picture(1, 203, 311)
    astronaut: NDArray[np.uint8] = skimage.data.astronaut()
    return astronaut if name == "astronaut" else np.ascontiguousarray(astronaut[60:400, 150:310])


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    return reading.stored("rtmpose")


@pytest.fixture(scope="module")
def network() -> RtmPose:
    return reading.filled(RtmPose(), seeded.rtmpose_weights, SEED)


@pytest.fixture(scope="module")
def finder(network: RtmPose) -> PointFinder:
    return PointFinder(network, CPU)


@pytest.fixture(scope="module")
def small() -> PointFinder:
    return PointFinder(reading.filled(RtmPose(8), seeded.rtmpose_weights, SEED), CPU)


def test_names_and_shapes_are_the_checkpoints(network: RtmPose, expected: dict[str, NDArray[Any]]) -> None:
    assert sorted(seeded.listing(reading.shapes(network))) == sorted(expected["names"])
    assert sum(parameter.numel() for parameter in network.parameters()) == 33_610_919


def test_mirrored_points_are_mmposes(expected: dict[str, NDArray[Any]]) -> None:
    assert mirrored() == expected["mirrored"].tolist()


@pytest.mark.parametrize("name", PICTURES)
def test_network_sees_the_same_pixels(name: str, expected: dict[str, NDArray[Any]]) -> None:
    shown = picture(name)
    cut = cut_out(shown, *region(shown.shape[1], shown.shape[0]))
    np.testing.assert_array_equal(cut[::3, ::3], expected[f"{name}_shown"])


@pytest.mark.parametrize("name", PICTURES)
def test_curves_equal_mmposes(name: str, finder: PointFinder, expected: dict[str, NDArray[Any]]) -> None:
    shown = picture(name)
    x, y = finder.curves(cut_out(shown, *region(shown.shape[1], shown.shape[0])))
    # Equal to the last bit on the machine that made them; processor and threads decide the order of sums.
    assert reading.relative(x[0, ::EVERY].numpy(), expected[f"{name}_x"]) < 3e-5
    assert reading.relative(y[0, ::EVERY].numpy(), expected[f"{name}_y"]) < 3e-5


@pytest.mark.parametrize("name", PICTURES)
def test_points_equal_mmposes(name: str, finder: PointFinder, expected: dict[str, NDArray[Any]]) -> None:
    shown = picture(name)
    found, wanted = finder(shown), expected[f"{name}_points"]
    assert found.dtype == np.float64
    assert found.shape == (133, 2)
    bin_side = region(shown.shape[1], shown.shape[0])[1][1] / 768
    assert np.abs(found - wanted).max() <= bin_side * 1.001
    assert (found.astype(np.int32) == wanted.astype(np.int32)).all(axis=1).mean() >= 0.99
    np.testing.assert_array_equal(finder.sixty_eight(shown), found[23:91])


def test_pictures_decide(expected: dict[str, NDArray[Any]]) -> None:
    """Were the stored points alike for all pictures, the tests above would show little."""
    a, b = (expected[f"{name}_points"] for name in ("astronaut", "squares"))
    assert (np.abs(a - b) > 8).any(axis=1).mean() > 0.3


def test_decoding_equals_mmposes_where_no_peak_is_above_zero(expected: dict[str, NDArray[Any]]) -> None:
    x = seeded.uniform(SEED, "x", (133, 576)) - np.linspace(0, 1.2, 133, dtype=np.float32)[:, None]
    y = seeded.uniform(SEED, "y", (133, 768)) - np.linspace(1.2, 0, 133, dtype=np.float32)[:, None]
    bins = highest(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_array_equal(bins / 2, expected["decoded"])
    assert (bins[0] == -1).all()
    assert (bins[66] >= 0).all()


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (704, 1216), (1, 1), (300, 400), (8192, 2)])
def test_region_holds_the_picture_and_bins_lead_back(width: int, height: int) -> None:
    centre, size = region(width, height)
    assert size[0] / size[1] == pytest.approx(0.75)
    assert size[0] >= np.float32(1.25 * width) and size[1] >= np.float32(1.25 * height)
    assert min(size[0] / width, size[1] / height) == pytest.approx(1.25)
    corners = to_picture(np.array([(0, 0), (576, 768)]), centre, size)
    np.testing.assert_allclose(corners, [centre - size / 2, centre + size / 2], rtol=1e-6)


def test_a_step_at_full_hd_is_as_documented() -> None:
    steps = np.diff(to_picture(np.array([(0, 0), (1, 1)]), *region(1920, 1080)), axis=0)
    np.testing.assert_allclose(steps, [(4.1667, 4.1667)], rtol=1e-4)


def test_mirrored_region_has_mirrored_points(small: PointFinder) -> None:
    """That is what the flip test is for: left and right are seen alike."""
    shown = picture("astronaut")
    cut = cut_out(shown, *region(shown.shape[1], shown.shape[0]))
    there, back = small.bins(cut), small.bins(np.ascontiguousarray(cut[:, ::-1]))[mirrored()]
    np.testing.assert_array_equal(there[:, 0], 575 - back[:, 0])
    np.testing.assert_array_equal(there[:, 1], back[:, 1])
    assert (there[:, 0] != 575 - there[mirrored(), 0]).any()


def test_results_do_not_depend_on_threads(small: PointFinder) -> None:
    shown = [picture(name) for name in PICTURES] * 4
    alone = [small(one) for one in shown]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(small, shown))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_layout_of_the_picture_is_no_matter(small: PointFinder) -> None:
    shown = picture("astronaut")
    view = np.ascontiguousarray(shown[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(small(view), small(shown))


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        (np.zeros((9, 9, 3), np.float32), "uint8"),
        (np.zeros((9, 9), np.uint8), "RGB"),
        (np.zeros((9, 9, 4), np.uint8), "RGB"),
        (np.zeros((0, 9, 3), np.uint8), "1..8192"),
        (np.zeros((1, 8193, 3), np.uint8), "1..8192"),
        ([[0, 0, 0]], "uint8"),
    ],
)
def test_bad_pictures_are_refused(bad: Any, hint: str, small: PointFinder) -> None:
    with pytest.raises(InvalidInputError, match=hint) as caught:
        small(bad)
    assert caught.value.reason is Reason.INVALID_PICTURE
    assert caught.value.field == "picture"
