"""Makes bisenet.npz by running MuseTalk's own face parser with seeded weights.

Needs torch, torchvision, OpenCV, Pillow and scikit-image. From the root of the project, PYTHONPATH holding
it:

    python tests/inference/musetalk/expected/make_bisenet.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec that may be written to: the parser looks for its weights
in the working folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import skimage.data
import torch
from PIL import Image
from tests.inference.musetalk.expected import seeded

HERE = Path(__file__).resolve().parent
SEED = 3


def pictures() -> dict[str, np.ndarray]:
    return {
        "astronaut": np.ascontiguousarray(skimage.data.astronaut()[20:220, 120:320]),
        "squares": seeded.picture(1, 640, 640),
    }


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk / "musetalk/utils"))
    folder = musetalk / "models/face-parse-bisent"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(musetalk)
    # Its pretrained start, overwritten by the whole at once.
    torch.save({}, folder / "resnet18-5c106cde.pth")
    from face_parsing import FaceParsing
    from face_parsing.model import BiSeNet

    empty = BiSeNet(str(folder / "resnet18-5c106cde.pth"))
    shapes = {name: tuple(tensor.shape) for name, tensor in empty.state_dict().items()}
    made = seeded.bisenet_weights(shapes, SEED)
    torch.save({name: torch.from_numpy(value) for name, value in made.items()}, folder / "79999_iter.pth")
    parser = FaceParsing()
    seen: list[Any] = []
    parser.net.register_forward_hook(lambda _, inputs, outputs: seen.append((inputs[0][0], outputs[0][0])))
    out: dict[str, np.ndarray] = {"names": seeded.listing(shapes)}
    for name, rgb in pictures().items():
        parser(Image.fromarray(rgb))
        inputs, logits = (tensor.numpy() for tensor in seen[-1])
        out |= {f"{name}_inputs": inputs[:, ::37, ::41], f"{name}_logits": logits[:, ::37, ::41]}
        out[f"{name}_labels"] = logits.argmax(0).astype(np.uint8)
        top = np.sort(logits, axis=0)
        print(name, np.unique(out[f"{name}_labels"]), logits.std(), (top[-1] - top[-2]).min())
    out["made_with"] = np.array([f"torch {torch.__version__}", f"pillow {PIL.__version__}"])
    np.savez_compressed(HERE / "bisenet.npz", **out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).resolve())
