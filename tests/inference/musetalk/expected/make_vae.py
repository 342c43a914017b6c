"""Makes vae.npz by running MuseTalk's own VAE with seeded weights, in float32.

Needs torch, torchvision, OpenCV and diffusers 0.30.2 (MuseTalk's own version). From the root of the project,
PYTHONPATH holding it and inference/:

    python tests/inference/musetalk/expected/make_vae.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec. It samples latents without a seed; here the mode stands
in for the sample, which is all that is changed.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import seeded

from avatar_inference.musetalk.layout import TINY


def save_seeded(folder: Path) -> np.ndarray:
    """Writes the VAE as MuseTalk reads it; returns names and shapes."""
    config = {name: value for name, value in TINY.vae().items() if name != "scaling_factor"}
    vae = AutoencoderKL(**config)
    shapes = {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}
    made = cases.vae_weights(shapes, cases.VAE_SEED)
    vae.load_state_dict({name: torch.from_numpy(value) for name, value in made.items()})
    vae.save_pretrained(folder)
    return seeded.listing(shapes)


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk))
    from musetalk.models.vae import VAE

    out: dict[str, np.ndarray] = {}
    with TemporaryDirectory() as folder:
        out["names"] = save_seeded(Path(folder))
        vae = VAE(model_path=folder)
    vae.vae.eval()
    bgr = np.ascontiguousarray(cases.crop()[..., ::-1])
    for name, half in (("masked", True), ("whole", False)):
        pixels = vae.preprocess_img(bgr, half_mask=half).numpy()
        out[f"{name}_sha256"] = np.array(hashlib.sha256(pixels.tobytes()).hexdigest())
        out[f"{name}_rows"] = pixels[0, :, 60:201:140]  # each holds all levels
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()
    out["latents"] = vae.get_latents_for_unet(bgr).numpy()
    with torch.no_grad():
        decoded = vae.decode_latents(torch.from_numpy(cases.latents(6, 4)))
    out["decoded_bgr"] = decoded[:, 1::6, 1::6]
    print("latents", out["latents"].std(), "pixels", decoded.mean(), decoded.std())
    print("saturated", np.isin(decoded, (0, 255)).mean())
    out["made_with"] = np.array([f"torch {torch.__version__}", f"diffusers {diffusers.__version__}"])
    np.savez_compressed(Path(__file__).with_name("vae.npz"), **out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
