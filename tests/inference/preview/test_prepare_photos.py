from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.support.portraits import FACE, MOUTH, astronaut, prepare, save

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Bundle, Picture
from avatar_inference.bundle_io import read_bundle, write_bundle
from avatar_inference.preview.mouth import MouthShape
from avatar_inference.preview.warp import PhotoFace

GIVEN = (FACE.x, FACE.y, FACE.width, FACE.height)


def as_mode(mode: str) -> Image.Image:
    image = Image.fromarray(astronaut())
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode.startswith("P"):
        image = image.quantize(255)
        if mode == "P+alpha":
            image.info["transparency"] = 255
        return image
    return image.convert(mode)


def mouth_of(bundle: Bundle) -> tuple[float, float]:
    """In pixels of the picture."""
    box = bundle.boxes[0]
    assert box is not None
    x, y, *_ = bundle.arrays["photo.mouth"][0]
    return box.x + float(x) * box.width / 256, box.y + float(y) * box.height / 256


def difference(first: Picture, second: Picture) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def refused(path: Path, reason: Reason = Reason.INVALID_PICTURE) -> str:
    with pytest.raises(InvalidInputError) as caught:
        prepare(path, face_box=GIVEN)
    assert caught.value.reason is reason
    return caught.value.message


def test_a_portrait_becomes_a_bundle_with_its_mouth_in_the_box(tmp_path: Path) -> None:
    prepared = prepare(save(astronaut(), tmp_path / "photo.png"))
    bundle = prepared.bundle
    assert (bundle.engine, bundle.width, bundle.height, bundle.times_us) == ("preview", 512, 512, (0,))
    np.testing.assert_array_equal(bundle.pictures[0], astronaut())
    (box,), (mask,) = bundle.boxes, bundle.masks
    assert box is not None
    assert mask is not None
    assert box.width == box.height == len(mask)
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert (edges.max(), mask.max()) == (0, 255)
    assert mouth_of(bundle) == (pytest.approx(MOUTH[0], abs=3), pytest.approx(MOUTH[1], abs=2))
    assert bundle.arrays["photo.mouth"].shape == (1, 4)
    assert bundle.arrays["photo.mouth"].dtype == np.float32
    assert [(finding.reason, finding.first_picture) for finding in prepared.findings] == [("SmallFace", 0)]
    preview = np.asarray(Image.open(io.BytesIO(prepared.preview_png)).convert("RGB"))
    changed = np.flatnonzero((preview != astronaut()).any(2).any(0))
    assert (changed[0], changed[-1]) == (box.x, box.x + box.width - 1)


@pytest.mark.parametrize(
    ("mode", "suffix", "levels"),
    [("RGB", ".jpg", 5), ("RGB", ".webp", 5), ("RGBA", ".png", 0), ("P", ".png", 6), ("P+alpha", ".png", 6)],
)
def test_colour_photographs_of_any_mode(tmp_path: Path, mode: str, suffix: str, levels: float) -> None:
    as_mode(mode).save(tmp_path / f"photo{suffix}")
    bundle = prepare(tmp_path / f"photo{suffix}", face_box=GIVEN).bundle
    assert difference(bundle.pictures[0], astronaut()) <= levels


def test_cmyk_is_made_rgb(tmp_path: Path) -> None:
    as_mode("CMYK").save(tmp_path / "photo.jpg", quality=95)
    assert difference(prepare(tmp_path / "photo.jpg").bundle.pictures[0], astronaut()) < 5


@pytest.mark.parametrize(("mode", "suffix"), [("L", ".png"), ("L", ".jpg"), ("I;16", ".png"), ("LA", ".png")])
def test_grey_photographs_of_8_and_16_bits(tmp_path: Path, mode: str, suffix: str) -> None:
    as_mode(mode).save(tmp_path / f"photo{suffix}")
    picture = prepare(tmp_path / f"photo{suffix}").bundle.pictures[0]
    grey = np.asarray(Image.fromarray(astronaut()).convert("L").convert("RGB"))
    assert difference(picture, grey) < 3


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    cut_out = np.dstack([astronaut(), np.full((512, 512), 255, np.uint8)])
    cut_out[:30, :, 3], cut_out[30:60, :, 3] = 0, 128
    picture = prepare(save(cut_out, tmp_path / "photo.png")).bundle.pictures[0]
    assert (picture[:30] == 255).all()
    np.testing.assert_allclose(picture[30:60], (astronaut()[30:60].astype(float) + 255) / 2, atol=2)
    np.testing.assert_array_equal(picture[60:], astronaut()[60:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that undo each orientation
    image = Image.fromarray(astronaut())
    if orientation > 1:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(prepare(tmp_path / "photo.png").bundle.pictures[0], astronaut())


def test_a_colour_profile_is_converted(tmp_path: Path) -> None:
    # A profile whose red and blue are swapped: what such a file calls red is to be shown blue.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    save(astronaut()[..., ::-1].copy(), tmp_path / "photo.png", icc_profile=bytes(profile))
    assert difference(prepare(tmp_path / "photo.png").bundle.pictures[0], astronaut()) < 1


def test_a_broken_colour_profile_is_ignored(tmp_path: Path) -> None:
    save(astronaut(), tmp_path / "photo.png", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(prepare(tmp_path / "photo.png").bundle.pictures[0], astronaut())


def test_odd_sizes_lose_their_last_row_and_column(tmp_path: Path) -> None:
    bundle = prepare(save(astronaut()[:487, :511], tmp_path / "photo.png")).bundle
    assert (bundle.width, bundle.height, bundle.pictures[0].shape) == (510, 486, (486, 510, 3))
    np.testing.assert_array_equal(bundle.pictures[0], astronaut()[:486, :510])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_large_photograph_is_scaled_down_and_its_box_with_it(tmp_path: Path, suffix: str) -> None:
    wide = np.full((512, 768, 3), 90, np.uint8)
    wide[:, :512] = astronaut()
    Image.fromarray(wide).resize((3840, 2560)).save(tmp_path / f"photo{suffix}")
    given = tuple(5 * side for side in GIVEN)
    found = prepare(tmp_path / f"photo{suffix}").bundle
    boxed = prepare(tmp_path / f"photo{suffix}", face_box=given).bundle
    assert (found.width, found.height) == (1280, 852)
    for bundle in (found, boxed):
        assert mouth_of(bundle) == pytest.approx((MOUTH[0] * 5 / 3, MOUTH[1] * 5 / 3), abs=4)


def test_a_face_at_the_picture_s_edge_keeps_a_square_within_it(tmp_path: Path) -> None:
    bundle = prepare(save(astronaut()[:164, 120:280], tmp_path / "photo.png")).bundle
    (box,) = bundle.boxes
    assert box is not None
    assert box.width == box.height
    assert 0 <= box.x <= bundle.width - box.width
    assert 0 <= box.y <= bundle.height - box.height
    assert mouth_of(bundle) == pytest.approx((MOUTH[0] - 120, MOUTH[1]), abs=3)
    assert PhotoFace(bundle).draw(0, MouthShape(1.0)).shape == (256, 256, 3)


def test_the_same_photograph_makes_the_same_bundle_and_it_draws_the_same_from_disk(tmp_path: Path) -> None:
    path = save(astronaut(), tmp_path / "photo.png")
    first, second = prepare(path).bundle, prepare(path).bundle
    identity = write_bundle(first, tmp_path / "first")
    assert write_bundle(second, tmp_path / "second") == identity
    stored = read_bundle(tmp_path / "first", expect=identity)
    shape = MouthShape(0.6, 0.3, 0.0, 0.5)
    np.testing.assert_array_equal(PhotoFace(stored).draw(0, shape), PhotoFace(first).draw(0, shape))


def test_progress_is_told(tmp_path: Path) -> None:
    from avatar_inference.engine import PrepareOptions
    from avatar_inference.preview.prepare import prepare_photo

    told: list[tuple[str, int, int]] = []
    path = save(astronaut(), tmp_path / "photo.png")
    prepare_photo(path, PrepareOptions("someone"), lambda *step: told.append(step))
    assert told == [("finding the face", 1, 0)]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_a_photograph_cut_short_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = save(astronaut(), tmp_path / f"photo{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(path)


@pytest.mark.parametrize(
    "head", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\xff\xff\xff\xffWEBP", b"GIF89a"]
)
def test_garbage_is_refused(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(head + np.random.default_rng(1).bytes(5000))
    refused(tmp_path / "photo.jpg")


def test_what_is_no_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe")
    assert "empty" in refused(tmp_path / "empty.png")
    assert "not a file" in refused(tmp_path / "pipe")
    assert "not a file" in refused(tmp_path)
    assert "not a file" in refused(Path("/dev/zero"))
    assert "No such file" in refused(tmp_path / "missing.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(257 * 1024 * 1024)
    assert "at most 256 MiB" in refused(tmp_path / "huge.png")


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "size",
    [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (8194, 200), (7000, 7000), (127, 500), (0, 0), (500, 0)],
)
def test_a_forbidden_size_is_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(*size))
    tracemalloc.start()
    refused(tmp_path / "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
