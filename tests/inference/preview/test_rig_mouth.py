from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.ava import ava, ava_face, measure

from avatar_inference.bundle import Picture
from avatar_inference.compositor import paste
from avatar_inference.preview.mouth import REST, MouthShape
from avatar_inference.preview.rig import RigFace

UNIT = st.floats(0, 1)
SHAPES = st.builds(MouthShape, UNIT, UNIT, UNIT, UNIT)
PICTURE_COUNT = len(ava().times_us)
PICTURES = st.integers(0, PICTURE_COUNT - 1)
SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0)


def own_crop(picture: int) -> Picture:
    box = ava().boxes[picture]
    assert box
    return ava().pictures[picture][box.y : box.y + 256, box.x : box.x + 256]


def changed(picture: int, shape: MouthShape) -> np.ndarray:
    differs: np.ndarray = (ava_face().draw(picture, shape) != own_crop(picture)).any(axis=-1)
    return differs


@pytest.mark.parametrize("teeth", [0.0, 1.0])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_mouth_opens_as_far_as_it_is_told(spread: float, teeth: float) -> None:
    shapes = [MouthShape(opening / 20, spread, teeth=teeth) for opening in range(21)]
    heights = [measure(ava_face().draw(3, shape)).opening for shape in shapes]
    assert heights[0] == 0
    assert all(later >= earlier for earlier, later in pairwise(heights)), heights
    assert all(later > earlier for earlier, later in zip(heights, heights[2:], strict=False)), heights
    assert 38 <= heights[-1] <= 46
    assert heights[10] == pytest.approx(heights[-1] / 2, abs=2.5)


@pytest.mark.parametrize("picture", range(0, PICTURE_COUNT, 7))
@pytest.mark.parametrize("press", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("spread", SPREADS)
def test_nothing_of_the_inside_shows_between_closed_lips(spread: float, press: float, picture: int) -> None:
    assert measure(ava_face().draw(picture, MouthShape(0.0, spread, press, 1.0))).inside == 0


@pytest.mark.parametrize("opening", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_puckered_mouth_is_narrow_and_round(opening: float) -> None:
    mouths = [measure(ava_face().draw(0, MouthShape(opening, spread))) for spread in SPREADS]
    widths = [mouth.width for mouth in mouths]
    assert widths == sorted(widths)
    assert widths[0] < 0.6 * widths[-1]
    ratios = [mouth.width / mouth.height for mouth in mouths]
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.6 * ratios[-1]


def test_pressed_lips_are_thinner() -> None:
    heights = [measure(ava_face().draw(0, MouthShape(press=press))).height for press in (0, 0.5, 1)]
    assert heights[0] > heights[1] > heights[2] > 0
    assert heights[2] < 0.6 * heights[0]


@pytest.mark.parametrize("opening", [0.2, 0.5, 1.0])
def test_teeth_show_without_changing_the_opening(opening: float) -> None:
    hidden, shown = (measure(ava_face().draw(0, MouthShape(opening, teeth=teeth))) for teeth in (0.0, 1.0))
    assert shown.teeth > hidden.teeth + 80
    assert shown.opening == pytest.approx(hidden.opening, abs=1)


def test_the_chin_goes_down_with_the_jaw() -> None:
    lowest = [np.flatnonzero(changed(0, MouthShape(o / 8))[:, 128])[-1] for o in range(2, 9)]
    assert all(later > earlier for earlier, later in pairwise(lowest))
    assert 10 < lowest[-1] - lowest[0] < 20


@pytest.mark.parametrize("picture", range(PICTURE_COUNT))
def test_at_rest_the_crop_is_the_picture(picture: int) -> None:
    assert (ava_face().draw(picture, REST) == own_crop(picture)).all()


@given(PICTURES, SHAPES)
@settings(max_examples=60, deadline=None)
def test_nothing_changes_outside_of_mouth_and_jaw(picture: int, shape: MouthShape) -> None:
    mask = ava().masks[picture]
    assert mask is not None
    assert (mask[changed(picture, shape)] == 255).all()


@given(PICTURES, SHAPES)
@settings(max_examples=20, deadline=None)
def test_a_pasted_crop_changes_the_picture_only_under_the_mask(picture: int, shape: MouthShape) -> None:
    box, mask = ava().boxes[picture], ava().masks[picture]
    assert box is not None
    assert mask is not None
    pasted = paste(ava().pictures[picture], ava_face().draw(picture, shape), box, mask)
    outside = np.ones(pasted.shape[:2], bool)
    outside[box.y : box.y + 256, box.x : box.x + 256] = mask == 0
    assert (pasted[outside] == ava().pictures[picture][outside]).all()


@given(PICTURES, SHAPES)
@settings(max_examples=40, deadline=None)
def test_there_is_no_edge_where_the_redrawn_part_begins(picture: int, shape: MouthShape) -> None:
    """Steps from pixel to pixel around the redrawn part are those of the picture, to within rounding."""
    before, after = own_crop(picture).astype(int), ava_face().draw(picture, shape).astype(int)
    mask = ava().masks[picture]
    assert mask is not None
    band = mask < 255
    band[:132] = True  # down to between the nose and a raised upper lip
    for axis in (0, 1):
        steps, were = (np.abs(np.diff(image, axis=axis)) for image in (after, before))
        inner = np.delete(band, 0, axis=axis)
        assert (steps - were)[inner].max() <= 3


def test_a_mouth_leaves_rest_without_a_jump() -> None:
    """The first visible step is not larger than later ones: drawn mouths agree with the picture's own."""
    crops = [ava_face().draw(5, MouthShape(o / 64)).astype(int) for o in range(6)]
    steps = [np.abs(later - earlier).mean() for earlier, later in pairwise(crops)]
    assert 0 < steps[0] < 2 * max(steps[1:])
    assert np.abs(crops[1] - crops[0])[:126].max() <= 2


@given(st.lists(st.tuples(PICTURES, SHAPES), min_size=1, max_size=6), st.randoms())
@settings(max_examples=20, deadline=None)
def test_pixels_depend_on_picture_and_shape_alone(
    frames: list[tuple[int, MouthShape]], random: object
) -> None:
    forgetful = RigFace(ava(), cache_bytes=1)
    expected = [ava_face().draw(*frame) for frame in frames]
    order = list(range(len(frames)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for index in order:
        assert (forgetful.draw(*frames[index]) == expected[index]).all()
