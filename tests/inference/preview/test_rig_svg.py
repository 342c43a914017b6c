from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_inference.preview.coverage import Area, coverages
from avatar_inference.preview.paths import blend_paths, compose, flatten_path, invert, parse_path
from avatar_inference.preview.raster import blurred, render
from avatar_inference.preview.svg import parse_svg

COORDINATES = st.floats(-20, 60, allow_subnormal=False)


def drawn(body: str, size: int = 16) -> np.ndarray:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}">{body}</svg>'
    return render(parse_svg(svg)).pixels


@pytest.mark.parametrize(
    ("relative", "absolute"),
    [
        ("m1 2l3 4h5v6z", "M1 2L4 6H9V12Z"),
        ("M1,1 2,2 3-1", "M1 1L2 2L3 -1"),
        ("m1 1c1 0 2 1 2 2s1 2 2 2", "M1 1C2 1 3 2 3 3C3 4 4 5 5 5"),
        ("M0 0q3 0 3 3t3 3", "M0 0C2 0 3 1 3 3C3 5 4 6 6 6"),
        ("M0 0H4m1 1v2", "M0 0L4 0M5 1L5 3"),
        ("M.5.5L1e1 5", "M0.5 0.5L10 5"),
    ],
)
def test_paths_are_read_in_all_their_spellings(relative: str, absolute: str) -> None:
    ones, others = parse_path(relative), parse_path(absolute)
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("data", ["M0 0A1 1 0 0 0 2 2", "M0 0L1", "M0 0C1 1 2 2", "", "M3 3"])
def test_paths_that_cannot_be_drawn_are_refused(data: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(data)


def test_paths_blend_point_by_point() -> None:
    flat, steep = parse_path("M0 0C1 0 2 0 3 0"), parse_path("M0 4C1 8 2 8 3 4")
    np.testing.assert_allclose(blend_paths([flat, steep], [0.75, 0.25])[0], [[0, 1], [1, 2], [2, 2], [3, 1]])
    with pytest.raises(ValueError, match="same commands"):
        blend_paths([flat, parse_path("M0 0L1 1L2 2")], [0.5, 0.5])


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=3))
def test_the_covered_area_is_the_area(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners)
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    covered = coverages([([points], Area(-20, -20, 60, 60))])[0]
    assert covered.sum() == pytest.approx(abs(ax * by - ay * bx) / 2, abs=0.02)
    assert covered.min() >= 0
    assert covered.max() <= 1


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=6))
def test_a_part_is_drawn_as_in_the_whole(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners)
    whole, part, nothing = coverages(
        [([points], Area(-20, -20, 60, 60)), ([points], Area(5, 7, 30, 21)), ([points], Area(5, 7, 5, 7))]
    )
    np.testing.assert_allclose(part, whole[27:41, 25:50], atol=1e-6)
    assert nothing.size == 0


def test_a_circle_is_round_wherever_it_lies() -> None:
    for x in (20, 20.25, 20.5):
        alpha = drawn(f'<circle cx="{x}" cy="20.3" r="9.5"/>', 40)[..., 3]
        assert alpha.sum() == pytest.approx(pi * 9.5**2, rel=8e-3)
        assert alpha[20].sum() == pytest.approx(19, abs=0.2)


def test_a_polygon_turned_the_other_way_cuts_a_hole() -> None:
    alpha = drawn('<path d="M2 2H14V14H2ZM5 5V11H11V5Z"/>')[..., 3]
    assert alpha.sum() == pytest.approx(12 * 12 - 6 * 6, abs=0.01)
    assert alpha[8, 8] == pytest.approx(0, abs=1e-5)


def test_colours_are_premultiplied_and_laid_over_each_other() -> None:
    red, blue = '<rect width="16" height="16" fill="#ff0000"/>', '<rect width="8" height="9" fill="#0000ff"'
    pixels = drawn(f'{red}{blue} opacity="0.25"/>')
    np.testing.assert_allclose(pixels[3, 3], [0.75, 0, 0.25, 1], atol=1e-6)
    np.testing.assert_allclose(pixels[3, 12], [1, 0, 0, 1])
    np.testing.assert_allclose(
        drawn('<rect width="9" height="9" fill="#00ff00" fill-opacity="0.5"/>')[4, 4], [0, 0.5, 0, 0.5]
    )


def test_a_faded_group_fades_as_a_whole() -> None:
    body = '<g opacity="0.5"><rect width="9" height="9"/><rect width="9" height="9"/></g>'
    assert drawn(body)[4, 4, 3] == pytest.approx(0.5)


def test_groups_hand_down_colours_and_transforms() -> None:
    body = (
        '<g fill="#00ff00" transform="translate(4 0) scale(2)"><rect x="1" y="1" width="2" height="2"/></g>'
    )
    pixels = drawn(body)
    assert pixels[..., 3].sum() == 16
    np.testing.assert_allclose(pixels[2:6, 6:10, 1], 1)
    turned = drawn('<rect x="8" y="2" width="4" height="2" transform="rotate(90 8 8)"/>')
    np.testing.assert_allclose(turned[8:12, 12:14, 3], 1, atol=1e-6)


def test_hidden_groups_are_read_but_not_drawn() -> None:
    body = '<g id="spare" display="none"><rect width="9" height="9"/></g>'
    assert not drawn(body).any()


def painted(gradient: str, attributes: str, rectangle: str) -> np.ndarray:
    stops = '<stop offset="0" stop-color="#000000"/><stop offset="1" stop-color="#ffffff"/>'
    defs = f'<defs><{gradient} id="g" {attributes}>{stops}</{gradient}></defs>'
    return drawn(f'{defs}<rect {rectangle} fill="url(#g)"/>')[..., 0]


def test_gradients_follow_their_shape_or_the_drawing() -> None:
    boxed = painted("linearGradient", "", 'x="4" width="8" height="9"')
    np.testing.assert_allclose(boxed[4, 4:12], (np.arange(8) + 0.5) / 8, atol=0.003)
    space = 'gradientUnits="userSpaceOnUse" x1="0" x2="0" y1="0" y2="16"'
    placed = painted("linearGradient", space, 'width="9" height="9"')
    np.testing.assert_allclose(placed[:9, 4], (np.arange(9) + 0.5) / 16, atol=0.003)
    radial = painted("radialGradient", "", 'width="16" height="16"')
    assert radial[8, 8] < 0.1
    assert radial[8, 15] == pytest.approx(7.5 / 8, abs=0.01)
    assert radial[0, 0] == 1


def test_clip_paths_cut_groups_and_shapes() -> None:
    defs = '<defs><clipPath id="c"><circle cx="8" cy="8" r="5"/></clipPath></defs>'
    for body in (
        '<g clip-path="url(#c)"><rect width="16" height="16"/></g>',
        '<rect width="16" height="16" clip-path="url(#c)"/>',
    ):
        alpha = drawn(defs + body)[..., 3]
        assert alpha.sum() == pytest.approx(pi * 25, rel=0.015)
        assert alpha[0, 0] == 0


def test_blur_spreads_what_there_is() -> None:
    defs = '<defs><filter id="b"><feGaussianBlur stdDeviation="3"/></filter></defs>'
    alpha = drawn(defs + '<rect x="30" y="30" width="4" height="4" filter="url(#b)"/>', 64)[..., 3]
    assert alpha.sum() == pytest.approx(16, rel=1e-3)
    across = alpha.sum(axis=0)
    at = np.arange(64) + 0.5
    mean = (across * at).sum() / across.sum()
    assert mean == pytest.approx(32, abs=0.01)
    assert (across * (at - mean) ** 2).sum() / across.sum() == pytest.approx(9 + 16 / 12, rel=0.08)


@pytest.mark.parametrize("deviation", [0.8, 1.5, 3.0, 10.0])
def test_blur_is_centred(deviation: float) -> None:
    dot = np.zeros((101, 1, 1), np.float32)
    dot[50] = 1
    soft = blurred(dot, deviation)[:, 0, 0]
    np.testing.assert_allclose(soft, soft[::-1], atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        '<rect width="9" height="9" stroke="#000000"/>',
        '<g style="fill:red"/>',
        "<text>a</text>",
        '<rect width="9" height="9" fill="red"/>',
        '<rect width="9" height="9" rx="2"/>',
        '<rect width="9" height="9" transform="skewX(3)"/>',
    ],
)
def test_what_would_be_drawn_differently_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"read|form|not one of"):
        drawn(body)


def test_maps_are_composed_and_inverted() -> None:
    first, second = np.array([[2.0, 1, 3], [0, 1, 4]]), np.array([[0.0, -1, 5], [1, 0, 6]])
    both = compose(second, first)
    np.testing.assert_allclose(both @ (7, 8, 1), second @ (*(first @ (7, 8, 1)), 1))
    np.testing.assert_allclose(compose(both, invert(both)), np.eye(2, 3), atol=1e-12)


def test_curves_are_flattened_finely() -> None:
    points = flatten_path(parse_path("M0 0C0 55.228 44.772 100 100 100"))[0]
    radius = np.hypot(*(points - [100, 0]).T)
    np.testing.assert_allclose(radius, 100, atol=0.05)
    sag = np.hypot(*((points[1:] + points[:-1]) / 2 - [100, 0]).T)
    assert (100 - sag).max() < 0.35
