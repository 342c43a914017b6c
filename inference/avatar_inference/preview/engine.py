"""The `preview` engine: lips from spectra, faces drawn or warped; a laptop's CPU is enough."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar_inference.bundle import Bundle
from avatar_inference.bundle_manifest import invalid
from avatar_inference.compositor import stretch_bicubic
from avatar_inference.engine import (
    CROP,
    Crops,
    EngineFrame,
    EngineReceipt,
    Prepared,
    PrepareOptions,
    PrepareProgress,
)
from avatar_inference.preview.face import Face
from avatar_inference.preview.lips import LipListener
from avatar_inference.preview.rig import HEAD_ARRAY, RigFace

_BUILTINS = {"ava": Path(__file__).with_name("ava")}


class PreviewEngine:
    """Draws procedural mouths; see `avatar_inference.engine.Engine`. Its avatars are `Face`s."""

    name = "preview"
    receipt = EngineReceipt(notes=("drawn preview, not a trained face model",))
    batch_sizes = ()

    def builtin(self, name: str) -> Path | None:
        """The folder of "ava", the avatar that is always there."""
        return _BUILTINS.get(name)

    def prepare(self, source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
        """Makes a bundle from a photograph or video. Raises InvalidInputError with NoFace, SeveralFaces, …"""
        from avatar_inference.preview.prepare import prepare_photo

        return prepare_photo(source, options, progress)

    def load(self, bundle: Bundle) -> Face:
        """The bundle's face, ready to be drawn.

        Raises:
            InvalidInputError: AvatarInvalid, when another engine prepared the bundle, or it is not whole.
        """
        if bundle.engine != self.name:
            raise invalid(
                f"the bundle was prepared by engine {bundle.engine!r}, and this server draws with "
                f"{self.name!r}; start it with --engine {bundle.engine}"
            )
        if HEAD_ARRAY in bundle.arrays:
            return RigFace(bundle)
        from avatar_inference.preview.warp import PhotoFace

        return PhotoFace(bundle)

    def features(self, fps: Fraction, *, live: bool) -> LipListener:
        """A listener for a new stream; its features are `MouthShape`s."""
        return LipListener(fps)

    def picture_at(self, bundle: Bundle, frame: int, fps: Fraction) -> int:
        """By the bundle's times."""
        return bundle.picture_at(frame, fps)

    def render(self, frames: Sequence[EngineFrame]) -> Crops:
        """Draws frames one by one: uint8 RGB [len(frames), 256, 256, 3]."""
        crops = np.empty((len(frames), CROP, CROP, 3), np.uint8)
        for crop, frame in zip(crops, frames, strict=True):
            face: Face = frame.avatar
            crop[...] = face.draw(frame.picture, frame.feature)
        return crops

    def stretch(self, crop: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """A crop at its box's size, uint8 RGB [height, width, 3]."""
        return stretch_bicubic(crop, width, height)

    def close(self) -> None:
        """Holds nothing."""
