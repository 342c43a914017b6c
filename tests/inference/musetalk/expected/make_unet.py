"""Makes unet.npz by running MuseTalk's own UNet and PositionalEncoding with seeded weights, in float32.

Needs torch and diffusers 0.30.2 (MuseTalk's own version). From the root of the project, PYTHONPATH holding it
and inference/:

    python tests/inference/musetalk/expected/make_unet.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import diffusers
import numpy as np
import torch
from diffusers import UNet2DConditionModel
from tests.inference.musetalk.expected import drawing_cases as cases
from tests.inference.musetalk.expected import seeded

from avatar_inference.musetalk.layout import TINY


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk))
    from musetalk.models.unet import PositionalEncoding, UNet

    shapes = {
        name: tuple(tensor.shape) for name, tensor in UNet2DConditionModel(**TINY.unet()).state_dict().items()
    }
    made = seeded.weights(shapes, cases.UNET_SEED)
    with TemporaryDirectory() as folder:
        config, weights = Path(folder) / "musetalk.json", Path(folder) / "unet.pth"
        config.write_text(json.dumps(TINY.unet()))
        torch.save({name: torch.from_numpy(value) for name, value in made.items()}, weights)
        unet = UNet(str(config), str(weights), device=torch.device("cpu"))
    unet.model.eval()
    latents, tokens = torch.from_numpy(cases.latents(5, 8)), torch.from_numpy(cases.tokens(5))
    with torch.no_grad():
        heard = PositionalEncoding(d_model=384)(tokens)
        drawn = unet.model(latents, torch.tensor([0]), encoder_hidden_states=heard).sample
        deaf = unet.model(latents, torch.tensor([0]), encoder_hidden_states=heard * 0).sample
    print("spread", drawn.std(), "of which sound", (drawn - deaf).std())
    np.savez_compressed(
        Path(__file__).with_name("unet.npz"),
        names=seeded.listing(shapes),
        drawn=drawn.numpy(),
        made_with=np.array([f"torch {torch.__version__}", f"diffusers {diffusers.__version__}"]),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
