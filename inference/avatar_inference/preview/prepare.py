"""From a photograph or video to a bundle whose mouth can be moved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from avatar_inference.bundle import Box, Bundle, Mask, Picture
from avatar_inference.engine import CROP, Prepared, PrepareOptions, PrepareProgress
from avatar_inference.preview.faces import FindFaces, given_face, haar_faces
from avatar_inference.preview.findings import check_scan, find_findings
from avatar_inference.preview.parting import Mouth
from avatar_inference.preview.photo import open_photo
from avatar_inference.preview.region import mouth_box, mouth_mask
from avatar_inference.preview.scan import scan_source
from avatar_inference.preview.source import Source, SourcePictures, check_file
from avatar_inference.preview.track import Face, settle_faces
from avatar_inference.preview.video import open_video
from avatar_inference.preview.warp import LIPS_ARRAY, MOUTH_ARRAY

NOTE = "the mouth of a photograph or video warped by rule, not by a trained model"

_PREVIEW_SIDE = 640
_BOX_COLOUR, _MASK_COLOUR = (255, 196, 0), (0, 160, 255)


def prepare_photo(source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
    """Makes a bundle from a photograph (JPEG, PNG, WebP) or a video of at most 60 s.

    The bundle's pictures are decoded from the source as they are asked for: keep the file until the bundle is
    written.

    Args:
        source: a local file.
        options: the bundle's name; which face.
        progress: told as pictures are looked at.

    Raises:
        InvalidInputError: InvalidPicture, NoFace, SeveralFaces, FaceTooSmall; InvalidArgument for options.
        AvatarError: MissingDependency, when the face must be looked for and OpenCV 4 is not there.
    """
    check_file(source)
    opened = open_photo(source) or open_video(source)
    scan = scan_source(opened, _finder(opened, options), options.face_index, progress)
    check_scan(scan, options.face_index, opened.scale)
    faces = settle_faces(scan)
    bundle = _bundle(options.name, opened, scan.times_us, faces)
    return Prepared(bundle, find_findings(scan, faces, options.face_index), _preview(bundle))


def _finder(source: Source, options: PrepareOptions) -> FindFaces:
    if options.face_box is None:
        return haar_faces()
    return given_face(options.face_box, source.scale, source.width, source.height)


def _bundle(name: str, source: Source, times_us: Sequence[int], faces: Sequence[Face | None]) -> Bundle:
    masks = cache(mouth_mask)
    boxes = [
        None
        if face is None
        else mouth_box(face.mouth.x, face.mouth.y, face.width, source.width, source.height)
        for face in faces
    ]
    mouths = np.zeros((len(faces), 4), np.float32)
    lips = np.zeros((len(faces), 2), np.float32)
    for number, (face, box) in enumerate(zip(faces, boxes, strict=True)):
        if face is not None and box is not None:
            mouths[number], lips[number] = _in_crop(face.mouth, box)
    return Bundle(
        name=name,
        engine="preview",
        width=source.width,
        height=source.height,
        times_us=times_us,
        boxes=boxes,
        masks=[None if box is None else masks(box.width) for box in boxes],
        pictures=SourcePictures(source, len(times_us)),
        arrays={MOUTH_ARRAY: mouths, LIPS_ARRAY: lips},
        notes=(NOTE,),
    )


def _in_crop(mouth: Mouth, box: Box) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The two rows of a bundle's arrays for one mouth; its middle stays within the crop."""
    scale = CROP / box.width
    x, y = (mouth.x - box.x) * scale, (mouth.y - box.y) * scale
    middle = float(np.clip(x, 0, CROP - 1)), float(np.clip(y, 0, CROP - 1))
    return (*middle, mouth.half_width * scale, mouth.tilt), (mouth.sag * scale, mouth.teeth * scale)


def _preview(bundle: Bundle) -> bytes:
    """A PNG of at most 640 pixels a side: the first picture with a face, its box and mask drawn on it."""
    number, box = next((number, box) for number, box in enumerate(bundle.boxes) if box is not None)
    mask = bundle.masks[number]
    assert mask is not None
    image = Image.fromarray(_tinted(bundle.pictures[number], box, mask))
    edge = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
    ImageDraw.Draw(image).rectangle(edge, outline=_BOX_COLOUR, width=2)
    image.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _tinted(picture: Picture, box: Box, mask: Mask) -> Picture:
    tinted = picture.astype(np.float32)
    part = tinted[box.y : box.y + box.height, box.x : box.x + box.width]
    part += (np.array(_MASK_COLOUR) - part) * (0.3 * mask[..., None] / 255)
    return np.round(tinted).astype(np.uint8)
