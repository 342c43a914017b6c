"""Makes rtmpose.npz by running mmpose 1.1.0 with seeded weights.

Needs mmpose 1.1.0, mmdet 3.1.0, mmcv-lite 2.0.1 and mmengine 0.10, each installed with --no-deps, besides
addict, json-tricks, munkres, pandas, pycocotools, shapely, termcolor, terminaltables, yapf and torchvision;
torch, OpenCV and scikit-image may be this project's. Neither mmcv's compiled operators nor chumpy are called
on this way, so empty modules stand in for both. From the root of the project, PYTHONPATH holding it:

    python tests/inference/musetalk/expected/make_rtmpose.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec, for its configuration of the network.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
from tests.inference.musetalk.expected import seeded

CONFIG = "musetalk/utils/dwpose/rtmpose-l_8xb32-270e_coco-ubody-wholebody-384x288.py"
SEED = 1
EVERY = 19
"""Of the 133 points, whose curves are stored."""


class _Empty(types.ModuleType):
    __path__: Sequence[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.startswith(("chumpy", "smplx", "mmcv.ops", "mmcv._ext")):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def pictures() -> dict[str, np.ndarray]:
    astronaut = skimage.data.astronaut()
    return {
        "astronaut": astronaut,
        "tall": np.ascontiguousarray(astronaut[60:400, 150:310]),
        "squares": seeded.picture(1, 203, 311),
    }


def curves(model: Any, bgr: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the network was shown (RGB) and its curves, without the flip test, by mmpose's own parts."""
    from mmengine.dataset import Compose, pseudo_collate

    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    box = np.array([[0, 0, bgr.shape[1], bgr.shape[0]]], np.float32)
    item = {"img": bgr, "bbox": box, "bbox_score": np.ones(1, np.float32), **model.dataset_meta}
    batch = pseudo_collate([pipeline(item)])
    shown = batch["inputs"][0].numpy()[::-1].transpose(1, 2, 0)
    with torch.no_grad():
        inputs = model.data_preprocessor(batch, False)["inputs"]
        found = model.head(model.extract_feat(inputs))
    return shown, [curve[0].numpy() for curve in found]


def decoded(model: Any) -> np.ndarray:
    """What the decoder makes of curves of which some have no peak above zero."""
    x = seeded.uniform(SEED, "x", (133, 576)) - np.linspace(0, 1.2, 133, dtype=np.float32)[:, None]
    y = seeded.uniform(SEED, "y", (133, 768)) - np.linspace(1.2, 0, 133, dtype=np.float32)[:, None]
    return model.head.decoder.decode(x[None], y[None])[0][0]


def main(musetalk: Path) -> None:
    for part in ("", ".coco", ".mask", ".cocoeval"):
        sys.modules[f"xtcocotools{part}"] = importlib.import_module(f"pycocotools{part}")
    sys.meta_path.insert(0, _StandIns())
    import mmpose
    from mmpose.apis import inference_topdown, init_model

    model = init_model(str(musetalk / CONFIG), None, device="cpu")
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    made = seeded.rtmpose_weights(shapes, SEED)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in made.items()}, strict=True)
    out = {
        "names": seeded.listing(shapes),
        "mirrored": np.array(model.dataset_meta["flip_indices"]),
        "decoded": decoded(model),
    }
    for name, rgb in pictures().items():
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        shown, (x, y) = curves(model, bgr)
        out |= {f"{name}_shown": shown[::3, ::3], f"{name}_x": x[::EVERY], f"{name}_y": y[::EVERY]}
        out[f"{name}_points"] = inference_topdown(model, bgr)[0].pred_instances.keypoints[0]
    versions = {"mmpose": mmpose.__version__, "torch": torch.__version__, "opencv": cv2.__version__}
    out["made_with"] = np.array([f"{name} {version}" for name, version in versions.items()])
    np.savez_compressed(Path(__file__).with_name("rtmpose.npz"), **out)
    print({name: value.dtype for name, value in out.items()}, out["made_with"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
