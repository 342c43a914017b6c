"""From a photograph or video to a bundle whose mouth can be moved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from avatar_inference.bundle import Box, Bundle
from avatar_inference.engine import CROP, Prepared, PrepareOptions, PrepareProgress
from avatar_inference.preview.parting import Mouth, find_mouth
from avatar_inference.preview.region import mouth_box, mouth_mask
from avatar_inference.preview.track import Face, settle_faces
from avatar_inference.preview.warp import LIPS_ARRAY, MOUTH_ARRAY
from avatar_inference.source.faces import FindFaces, given_face, haar_faces
from avatar_inference.source.findings import check_scan, find_findings
from avatar_inference.source.opening import open_source
from avatar_inference.source.scan import scan_source
from avatar_inference.source.sketch import sketch
from avatar_inference.source.source import Source, SourcePictures

NOTE = "the mouth of a photograph or video warped by rule, not by a trained model"


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
    opened = open_source(source, options.side_max, options.fps)
    scan = scan_source(opened, _finder(opened, options), options.face_index, progress, find_mouth)
    check_scan(scan, options.face_index, opened.scale)
    faces = settle_faces(scan)
    bundle = _bundle(options.name, opened, scan.times_us, faces)
    present = [face is not None for face in faces]
    return Prepared(bundle, find_findings(scan, present, options.face_index), sketch(bundle))


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
