"""Makes prepare.npz by running MuseTalk's own real-time and offline scripts' parts.

The networks are replaced: points, faces, labels and drawn crops come from `prepare_cases`. All else, from
points to the pasted picture, is upstream's own code. Needs torch, OpenCV, Pillow and tqdm. From the root of
the project, PYTHONPATH holding it:

    python tests/inference/musetalk/expected/make_prepare.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec.
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import cv2
import numpy as np
import PIL
import torch
from tests.inference.musetalk.expected import prepare_cases as cases

Out = dict[str, np.ndarray]
ABSENT = """mmpose mmpose.apis mmpose.structures face_detection torchvision torchvision.transforms omegaconf
transformers musetalk.utils.face_parsing.model musetalk.utils.utils musetalk.utils.audio_processor"""


class Absent(ModuleType):
    """Anything may be imported from it and called."""

    def __getattr__(self, name: str) -> MagicMock:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk))
    for name in ABSENT.split():
        sys.modules[name] = Absent(name)
    import scripts.realtime_inference as script
    from musetalk.utils import blending, preprocessing
    from musetalk.utils.face_parsing import FaceParsing

    FaceParsing.model_init = lambda self: self.answer
    FaceParsing.answer = lambda self, inputs: (onehot(self.labels),)
    out: Out = {}
    add_boxes(preprocessing, out)
    for name, run in cases.RUNS.items():
        add_run(script, preprocessing, FaceParsing, name, run, out)
    add_masks(blending, FaceParsing, out)
    out["made_with"] = np.array([f"opencv {cv2.__version__}", f"pillow {PIL.__version__}"])
    np.savez_compressed(Path(__file__).with_name("prepare.npz"), **out)


def onehot(labels: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 19).permute(2, 0, 1)[None].float()


def watch(preprocessing: Any, frames: list[np.ndarray], points: list[np.ndarray], faces: list[Any]) -> None:
    """Lets the landmark and face networks answer for these pictures, in their order."""
    answers, found = iter(points), iter(faces)

    def infer(model: Any, frame: np.ndarray) -> Any:
        whole = np.zeros((1, 133, 2))
        whole[0, 23:91] = next(answers)
        return SimpleNamespace(pred_instances=SimpleNamespace(keypoints=whole))

    preprocessing.inference_topdown = infer
    preprocessing.merge_data_samples = lambda results: results
    preprocessing.fa = SimpleNamespace(get_detections_for_batch=lambda batch: [next(found)])
    preprocessing.read_imgs = lambda paths: frames


def add_boxes(preprocessing: Any, out: Out) -> None:
    """Checkpoint 5: boxes of random points, with fallback and without a face."""
    frames = [np.zeros((cases.HEIGHT, cases.WIDTH, 3), np.uint8)] * cases.BOXES
    points = [cases.points(seed) for seed in range(cases.BOXES)]
    for shift in sorted(set(cases.SHIFTS)):
        watch(preprocessing, frames, points, [cases.detected(seed) for seed in range(cases.BOXES)])
        found, _ = preprocessing.get_landmark_and_bbox([None] * cases.BOXES, shift)
        out[f"boxes_{shift}"] = np.array(found, np.int64)
    watch(preprocessing, frames, points, [(0, 0, 1, 1)] * cases.BOXES)
    out["range"] = np.array(preprocessing.get_bbox_range([None] * cases.BOXES))


def add_run(script: Any, preprocessing: Any, parsing: Any, name: str, run: cases.Run, out: Out) -> None:
    """Checkpoints 6, 12, 13, 14 and 16: a whole avatar, prepared and pasted over three cycles."""
    pictures = [picture[..., ::-1].copy() for picture in cases.pictures(run)]
    points = [cases.steady_points(10 * run.seed + n) for n in range(len(pictures))]
    crops: list[np.ndarray] = []
    parser = parsing(left_cheek_width=run.cheeks[0], right_cheek_width=run.cheeks[1])
    parse = parsing.__call__

    def labelled(image: Any, size: tuple[int, int] = (512, 512), mode: str = "raw") -> Any:
        # Which picture is asked about is told by turns: forth and back.
        turn = labelled.turn % (2 * len(pictures))
        labelled.turn += 1
        parser.labels = cases.labels(10 * run.seed + min(turn, 2 * len(pictures) - 1 - turn))
        return parse(parser, image, size, mode)

    labelled.turn = 0
    parser.net = parser.answer
    parser.preprocess = lambda image: torch.zeros(3, 512, 512)
    script.vae = SimpleNamespace(get_latents_for_unet=lambda crop: crops.append(crop) or torch.zeros(1))
    script.fp = labelled
    script.args = SimpleNamespace(
        version="v15", extra_margin=run.margin, parsing_mode=run.mode, skip_save_images=False
    )
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("in").mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(f"in/{number:08d}.png", picture)
        watch(preprocessing, pictures, points, [(0, 0, 9, 9)] * len(pictures))
        avatar = script.Avatar(name, "in", 0, 1, True)
        Path(avatar.avatar_path, "tmp").mkdir()
        drawn: queue.Queue[np.ndarray] = queue.Queue()
        total = 6 * len(pictures)
        for number in range(total):
            drawn.put(cases.crop(number)[..., ::-1])
        avatar.process_frames(drawn, total + 1, False)  # the last frame of what is asked for never comes
        files = sorted(Path(avatar.avatar_path, "tmp").glob("*.png"))
        pasted = [cv2.imread(str(file))[..., ::-1] for file in files]
        os.chdir(here)
    out[f"{name}_boxes"] = np.array(avatar.coord_list_cycle[: len(pictures)], np.int64)
    for number in range(len(pictures)):
        out[f"{name}_mask_{number}"] = avatar.mask_list_cycle[number]
        out[f"{name}_square_{number}"] = np.array(avatar.mask_coords_list_cycle[number])
    # Less what was there before, which is 0 nearly everywhere.
    out[f"{name}_pasted"] = pasted[1] - cases.pictures(run)[1]
    out[f"{name}_cycle"] = np.array([frame[0, 0, 0] - 10 * run.seed for frame in pasted])
    if name == "jaw":
        out["crops"] = np.array(crops)[:2, ::2, ::2, ::-1]


def add_masks(blending: Any, parsing: Any, out: Out) -> None:
    """Checkpoints 12 and 13 for boxes anywhere, and the offline script's kernel by what it pastes."""
    frame = cases.picture(7)[..., ::-1]
    for mode in ("jaw", "raw", "neck"):
        parser = parsing(left_cheek_width=90, right_cheek_width=90)
        parser.net, parser.labels = parser.answer, cases.labels(70)
        parser.preprocess = lambda image: torch.zeros(3, 512, 512)
        out[f"region_{mode}"] = np.packbits(np.array(parser(PIL.Image.new("RGB", (9, 9)), mode=mode)) == 255)
        for number, box in enumerate(cases.SQUARES if mode == "jaw" else cases.SQUARES[:2]):
            mask, square = blending.get_image_prepare_material(frame, box, fp=parser, mode=mode)
            out[f"alone_{mode}_{number}"], out[f"alone_square_{number}"] = mask, np.array(square)
    parser = parsing(left_cheek_width=90, right_cheek_width=90)
    parser.net, parser.labels = parser.answer, cases.labels(70)
    parser.preprocess = lambda image: torch.zeros(3, 512, 512)
    x, y, right, bottom = cases.SQUARES[0]
    face = cv2.resize(cases.crop(7)[..., ::-1], (right - x, bottom - y))
    pasted = blending.get_image(frame, face, cases.SQUARES[0], mode="jaw", fp=parser)
    out["offline"] = pasted[..., ::-1] - frame[..., ::-1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).resolve())
