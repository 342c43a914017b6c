"""Makes s3fd.npz by running MuseTalk's own face detector with seeded weights.

Needs torch, torchvision, OpenCV, SciPy, scikit-image and tqdm. From the root of the project, PYTHONPATH
holding it:

    python tests/inference/musetalk/expected/make_s3fd.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec that may be written to: the detector looks for its weights
beside its code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
from tests.inference.musetalk.expected import seeded

SEED = 2


def pictures() -> dict[str, np.ndarray]:
    return {
        "astronaut": np.ascontiguousarray(skimage.data.astronaut()[:256, 100:356]),
        "squares": seeded.picture(1, 203, 311),
    }


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk / "musetalk/utils"))
    from face_detection import FaceAlignment, LandmarksType
    from face_detection.detection.sfd.net_s3fd import s3fd

    shapes = {name: tuple(tensor.shape) for name, tensor in s3fd().state_dict().items()}
    made = seeded.s3fd_weights(shapes, SEED)
    place = musetalk / "musetalk/utils/face_detection/detection/sfd/s3fd.pth"
    torch.save({name: torch.from_numpy(value) for name, value in made.items()}, place)
    finder: Any = FaceAlignment(LandmarksType._2D, flip_input=False, device="cpu")
    out: dict[str, np.ndarray] = {"names": seeded.listing(shapes)}
    for name, rgb in pictures().items():
        inputs = torch.from_numpy((rgb - np.array([104, 117, 123])).transpose(2, 0, 1)).float()[None]
        with torch.no_grad():
            grids = finder.face_detector.face_detector(inputs)
        for number, grid in enumerate(grids):
            out[f"{name}_{number}"] = grid[0].numpy()[:, ::3, ::3]
        out[f"{name}_faces"] = np.array(finder.face_detector.detect_from_batch(rgb[None])[0])
        out[f"{name}_first"] = np.array(finder.get_detections_for_batch(rgb[None, ..., ::-1])[0])
        scores = out[f"{name}_faces"][:, 4]
        print(name, len(scores), "faces; least gap of scores", -np.diff(scores).max(), scores.min() - 0.5)
    out["made_with"] = np.array([f"torch {torch.__version__}", f"opencv {cv2.__version__}"])
    np.savez_compressed(Path(__file__).with_name("s3fd.npz"), **out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
