"""Which part of a head each pixel of a square crop belongs to: BiSeNet as MuseTalk runs it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Picture
from avatar_inference.musetalk.picture import as_batch, check_picture, exact, per_channel

SIDE = 512

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FaceParser:
    """Labels pixels. Calls from several threads are fine.

    Args:
        module: a `BiSeNet` with its weights loaded, float32; taken over.
        device: where to run it.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module.eval().to(device)
        self._device = device
        self._mean, self._deviation = per_channel(_MEAN, device), per_channel(_DEVIATION, device)

    def __call__(self, crop: Picture) -> NDArray[np.uint8]:
        """Labels a crop about a face.

        Args:
            crop: uint8 RGB [S, S, 3], S of 1 to 8192 pixels. Pillow's bilinear filter, which smooths when it
                shrinks, brings it to 512x512.

        Returns:
            uint8 [512, 512], each one of the labels of `bisenet.PARTS`.

        Raises:
            InvalidInputError: it is no such picture.
        """
        best = self.logits(crop)[1][0].argmax(dim=0)
        return np.asarray(best.cpu(), np.uint8)

    def logits(self, crop: Picture) -> tuple[Tensor, Tensor]:
        """What the network is given, float32 [1, 3, 512, 512], and what it says, [1, 19, 512, 512]."""
        check_picture(crop)
        if crop.shape[0] != crop.shape[1]:
            message = f"must be square, not {crop.shape[1]}x{crop.shape[0]}; fill it with black"
            raise InvalidInputError(Reason.INVALID_PICTURE, message, field="picture")
        resized = Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        with exact(self._device):
            inputs = (as_batch(np.asarray(resized), self._device) / 255 - self._mean) / self._deviation
            return inputs, self._module(inputs)
