"""What every kind of face the `preview` engine draws has in common."""

from __future__ import annotations

from typing import Protocol

from avatar_inference.bundle import Picture
from avatar_inference.preview.mouth import MouthShape


class Face(Protocol):
    """A loaded avatar. Safe to use from any thread."""

    def draw(self, picture: int, shape: MouthShape) -> Picture:
        """The crop of this picture of the bundle with this mouth: uint8 RGB [256, 256, 3].

        The same picture and shape give the same pixels, whatever was drawn before.
        """
        ...
