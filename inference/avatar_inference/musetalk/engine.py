"""The `musetalk` engine: sound to token windows, latents and tokens to crops, many streams in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.bundle import Bundle
from avatar_inference.bundle_manifest import invalid
from avatar_inference.engine import (
    Crops,
    EngineFrame,
    EngineReceipt,
    Prepared,
    PrepareOptions,
    PrepareProgress,
)
from avatar_inference.musetalk.audio import Ear
from avatar_inference.musetalk.finders import load_finders
from avatar_inference.musetalk.hearing import BATCH_MAX, Hearing
from avatar_inference.musetalk.layout import LATENT_SIDE
from avatar_inference.musetalk.listener import AlignedListener, UpstreamListener
from avatar_inference.musetalk.model import MouthModel, Painter, Precision
from avatar_inference.musetalk.picture import exact
from avatar_inference.musetalk.prepare import LATENTS_ARRAY, prepare_repaint
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.musetalk.vae import CropEncoder
from avatar_inference.musetalk.weights import Weights, open_weights
from avatar_inference.musetalk.weights.modules import loaded_module
from avatar_inference.musetalk.windows import Windows, upstream_picture

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Sizes recorded on a GPU."""
NOT_VERIFIED = "not yet verified with official weights"
RANDOM_WEIGHTS = "random weights, for tests only"


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """What the engine keeps of an avatar: [pictures, 8, 32, 32] on its device."""

    of: Tensor


class MuseTalkEngine:
    """MuseTalk 1.5; see `avatar_inference.engine.Engine`. Its avatars are `Latents`, its features tokens.

    Args:
        settings: weights, device, precision, windows.
        max_batch: frames in one step, at most.

    Raises:
        AvatarError: WeightsMissing; InvalidArgument for a device or precision that is not to be had here.
    """

    name = "musetalk"

    def __init__(self, settings: MuseTalkSettings, max_batch: int) -> None:
        self._settings = settings
        self._device = _device(settings)
        accelerated = self._device.type == "cuda"
        precision = _precision(settings, accelerated)
        weights = open_weights(settings.weights)
        self.batch_sizes = _batch_sizes(max_batch) if accelerated else ()
        self._model, self._encoder, self._hearing = _networks(weights, self._device, precision)
        try:
            self._model.warm_up(self.batch_sizes)
        except BaseException:  # a GPU too small for it, as a rule
            self._hearing.close()
            raise
        notes = (NOT_VERIFIED,) if weights.official else (RANDOM_WEIGHTS,)
        self.receipt = EngineReceipt(notes, weights.sha256, settings.windows.value, accelerated)

    def builtin(self, name: str) -> Path | None:
        """None: avatars are prepared with the weights that draw them."""
        return None

    def prepare(self, source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
        """Makes a bundle from a photograph or video. Raises InvalidInputError with NoFace, SeveralFaces, …"""
        # Preparing is rare, and the device's memory is for drawing: what it needs is there for its time only.
        try:
            self._encoder.to(self._device)
            return self._prepare(source, options, progress)
        finally:
            self._encoder.to("cpu")
            if self.receipt.accelerated:
                torch.cuda.empty_cache()

    def load(self, bundle: Bundle) -> Latents:
        """The bundle's latents, on the device.

        Raises:
            InvalidInputError: AvatarInvalid, when another engine prepared the bundle, or it is not whole.
        """
        if bundle.engine != self.name:
            raise invalid(
                f"the bundle was prepared by engine {bundle.engine!r}, and this server draws with "
                f"{self.name!r}; start it with --engine {bundle.engine}"
            )
        found = bundle.arrays.get(LATENTS_ARRAY)
        shape = (len(bundle.pictures), 8, LATENT_SIDE, LATENT_SIDE)
        if found is None or found.dtype != np.float16 or found.shape != shape:
            what = "missing" if found is None else f"{found.dtype} {found.shape}"
            raise invalid(f"the bundle's latents are {what}; they must be float16 {shape}")
        if not np.isfinite(found).all():
            raise invalid("the bundle's latents are not all finite")
        return Latents(torch.from_numpy(found.copy()).to(self._device, self._model.dtype))

    def features(self, fps: Fraction, *, live: bool) -> AlignedListener | UpstreamListener:
        """A listener for a new stream. Raises InvalidInputError for LIVE with windows "upstream"."""
        if self._settings.windows is Windows.ALIGNED:
            return AlignedListener(self._hearing, fps, live)
        if live:
            message = "LIVE is not possible with windows `upstream`, which waits for 30 s; send OFFLINE"
            raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="config.pace")
        return UpstreamListener(self._hearing, fps)

    def picture_at(self, bundle: Bundle, frame: int, fps: Fraction) -> int:
        """By the bundle's times; with windows "upstream" one picture a frame, as published."""
        if self._settings.windows is Windows.UPSTREAM:
            return upstream_picture(frame, len(bundle.pictures))
        return bundle.picture_at(frame, fps)

    def render(self, frames: Sequence[EngineFrame]) -> Crops:
        """Draws all frames, on a GPU in one batch: uint8 RGB [len(frames), 256, 256, 3].

        On a CPU a batch saves nothing, and it rounds unlike its frames alone: there each is drawn by itself,
        so that a stream's frames are the same to the byte whoever is drawn beside.
        """
        if not self.receipt.accelerated:
            return np.concatenate([self._draw([frame]) for frame in frames])
        return self._draw(frames)

    def _prepare(self, source: Path, options: PrepareOptions, progress: PrepareProgress) -> Prepared:
        finders = load_finders(self._settings.weights, self._device, options, self._encode)
        return prepare_repaint(source, options, finders, progress)

    def _draw(self, frames: Sequence[EngineFrame]) -> Crops:
        latents = torch.stack([frame.avatar.of[frame.picture] for frame in frames])
        tokens = torch.stack([frame.feature for frame in frames])
        return self._model.draw(latents, tokens.to(self._device)).cpu().numpy()

    def stretch(self, crop: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """A crop at its box's size, as published: OpenCV's INTER_LINEAR on bytes."""
        return np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    def close(self) -> None:
        """Ends the encoder's thread."""
        self._hearing.close()

    def _encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        """uint8 RGB [B, 256, 256, 3] to float16 [B, 8, 32, 32]; see `CropEncoder`."""
        with exact(self._device):  # the same crops give the same bundle
            latents = self._encoder(torch.from_numpy(crops).to(self._device))
        return np.asarray(latents.to("cpu", torch.float16).numpy(), np.float16)


def _networks(
    weights: Weights, device: torch.device, precision: Precision
) -> tuple[MouthModel, CropEncoder, Hearing]:
    """Everything that draws and hears, loaded once. The VAE's encoder stays in fp32 on the CPU."""
    unet, vae, ears = (loaded_module(weights, part) for part in ("unet", "vae", "whisper"))
    encoder = CropEncoder(vae)
    model = MouthModel(Painter(unet, vae, weights.layout.width), device, precision)
    ear = Ear(ears).to(device)
    ear.encoder.to(precision.dtype)
    return model, encoder, Hearing(ear, device, BATCH_MAX if device.type == "cuda" else 1)


def _device(settings: MuseTalkSettings) -> torch.device:
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        message = "no CUDA device is to be had here; choose cpu, or auto"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="device")
    wanted = settings.device if settings.device != "auto" else "cuda" if there else "cpu"
    return torch.device(wanted)


def _precision(settings: MuseTalkSettings, accelerated: bool) -> Precision:
    if settings.precision == "auto":
        return Precision.FP16 if accelerated else Precision.FP32
    if not accelerated and settings.precision == "fp16":
        message = "fp16 is many times slower than fp32 on a CPU; choose fp32, bf16 or auto"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="precision")
    return Precision(settings.precision)


def _batch_sizes(max_batch: int) -> tuple[int, ...]:
    return (*(size for size in BATCH_SIZES if size < max_batch), max_batch)
