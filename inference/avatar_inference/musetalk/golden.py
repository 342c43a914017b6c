"""`avatar weights verify --golden`: what only the published weights can show, in one run and one JSON.

Strict loading of every part; a photograph made to speak, as a sheet of its frames and as the lag of its lips;
and, given frames that the published code rendered of the same photograph and sound, how alike they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, UnidentifiedImageError

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.limits import LIP_RATE
from avatar_inference.bundle import Box, Bundle, Picture
from avatar_inference.compositor import paste
from avatar_inference.engine import EngineFrame, PrepareOptions, RepaintOptions
from avatar_inference.musetalk.engine import MuseTalkEngine
from avatar_inference.musetalk.golden_measures import Likeness, lag, likeness
from avatar_inference.musetalk.points import FACE, PointFinder
from avatar_inference.musetalk.rtmpose import RtmPose
from avatar_inference.musetalk.settings import MuseTalkSettings
from avatar_inference.musetalk.weights import Weights, open_weights
from avatar_inference.musetalk.weights.verify import verify_part
from avatar_inference.musetalk.windows import Windows

FPS = Fraction(25)
"""The rate the weights were trained at."""
SECONDS_MAX = 60.0
PSNR_DB, HALF_PSNR_DB, MEAN_LEVELS = 50.0, 45.0, 0.5
"""What frames of the published code must reach, in the face's box: in fp32, else, and in the mean."""
_BATCH = 4
_TILES, _COLUMNS, _TILE = 24, 6, 192
_INNER_LIPS, _FACE_HEIGHT = (62, 66), (27, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What to do.

    Attributes:
        settings: weights, device and precision; windows are chosen here.
        picture: a photograph of one face.
        sound: float32 [n], 16 kHz mono, -1..1, up to a minute.
        landmarks: the photograph's 68 points, float32 [1, 68, 2]; None looks for them.
        reference: folder of PNGs in order, rendered by the published code in its real-time way (mask `jaw`,
            VAE by mode) at 25 fps of the same photograph and sound; None compares nothing.
    """

    settings: MuseTalkSettings
    picture: Path
    sound: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None
    reference: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What came of it: the report for JSON, and the sheet of frames."""

    report: dict[str, Any]
    sheet: Image.Image

    @property
    def passed(self) -> bool:
        """Whether nothing contradicts."""
        return bool(self.report["passed"])


def verify_golden(golden: Golden, tell: Callable[[str], None]) -> Found:
    """Runs everything.

    Args:
        golden: what to do.
        tell: hears what happens now.

    Raises:
        WeightsError: WeightsMissing or WeightsInvalid.
        InvalidInputError: photograph, sound or reference can't be used.
    """
    if not 0 < len(golden.sound) <= SECONDS_MAX * LIP_RATE:
        raise _unfit("audio", f"must last up to {SECONDS_MAX:g} s")
    weights = open_weights(golden.settings.weights)
    loading = {}
    for part in weights.sha256:
        tell(f"looking at every number of {part}")
        loading[part] = verify_part(weights, part)
    tell("drawing with windows `aligned`")
    aligned, seconds = _spoken(golden, weights)
    compared = None
    if golden.reference is not None:
        tell("drawing with windows `upstream` and comparing")
        compared = _compared(golden, golden.reference)
    return Found(_report(golden, weights, loading, aligned, seconds, compared), _sheet(aligned.faces))


@dataclass(frozen=True, slots=True, eq=False)
class _Spoken:
    """Frames cut out around the face, and how far the mouth is open in each."""

    faces: Sequence[Picture]
    openings: NDArray[np.float64]


def _spoken(golden: Golden, weights: Weights) -> tuple[_Spoken, float]:
    with_windows = replace(golden.settings, windows=Windows.ALIGNED)
    finder = _point_finder(weights) if weights.has("landmarks") else None
    faces, openings, began = [], [], time.monotonic()
    for bundle, frame in _frames(golden, with_windows, RepaintOptions(landmarks=golden.landmarks)):
        faces.append(_around(frame, _box(bundle)))
        openings.append(_opening(finder(frame)[FACE]) if finder else 0.0)
    return _Spoken(faces, np.array(openings)), time.monotonic() - began


def _frames(
    golden: Golden, settings: MuseTalkSettings, repaint: RepaintOptions
) -> Iterator[tuple[Bundle, Picture]]:
    """The avatar and, one by one, the frames in which it speaks, as they are before any video codec."""
    engine = MuseTalkEngine(settings, _BATCH)
    try:
        options = PrepareOptions("golden", repaint=repaint)
        bundle = engine.prepare(golden.picture, options, lambda *_: None).bundle
        if len(bundle.pictures) != 1:
            raise _unfit("picture", "must be a photograph, not a video")
        avatar, box, mask = engine.load(bundle), _box(bundle), bundle.masks[0]
        assert mask is not None
        listener = engine.features(FPS, live=False)
        frames = int(len(golden.sound) * FPS / LIP_RATE)
        features = [*listener.push(golden.sound), *listener.flush(frames, last=True)]
        for start in range(0, len(features), _BATCH):
            batch = [EngineFrame(avatar, 0, feature) for feature in features[start : start + _BATCH]]
            for crop in engine.render(batch):
                face = engine.stretch(crop, box.width, box.height)
                yield bundle, paste(bundle.pictures[0], face, box, mask)
    finally:
        engine.close()


def _box(bundle: Bundle) -> Box:
    box = bundle.boxes[0]
    if box is None:
        raise _unfit("picture", "shows no face")
    return box


def _compared(golden: Golden, reference: Path) -> Likeness:
    files = sorted(reference.glob("*.png"))
    settings = replace(golden.settings, windows=Windows.UPSTREAM)
    options = RepaintOptions(landmarks=golden.landmarks, mask="jaw", margin=10)

    def pairs() -> Iterator[tuple[Picture, Picture]]:
        drawn = 0
        for bundle, frame in _frames(golden, settings, options):
            if drawn == len(files):
                raise _unfit("reference", f"holds {len(files)} PNGs; more frames are drawn of this sound")
            box = _box(bundle)
            within = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
            yield frame[within], _read_frame(files[drawn], frame.shape)[within]
            drawn += 1
        if drawn != len(files):
            raise _unfit("reference", f"holds {len(files)} PNGs; {drawn} frames are drawn of this sound")

    return likeness(pairs())


def _read_frame(path: Path, shape: tuple[int, ...]) -> Picture:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if (image.height, image.width) != shape[:2]:
                size = f"{image.width}x{image.height}"
                raise _unfit("reference", f"{path.name} is {size} instead of {shape[1]}x{shape[0]}")
            return np.asarray(image.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise _unfit("reference", f"{path.name} can't be read: {error}") from None


def _point_finder(weights: Weights) -> PointFinder:
    network = RtmPose(weights.layout.finder_width)
    weights.load("landmarks", network)
    return PointFinder(network, torch.device("cpu"))


def _opening(points: NDArray[np.float64]) -> float:
    """Between the inner lips, as a part of the way from the nose's root to the chin."""
    (upper, lower), (root, chin) = _INNER_LIPS, _FACE_HEIGHT
    height = float(np.linalg.norm(points[chin] - points[root]))
    return float(np.linalg.norm(points[lower] - points[upper])) / max(height, 1e-6)


def _around(frame: Picture, box: Box) -> Picture:
    """A square about the face, half as large again."""
    half = max(box.width, box.height) * 3 // 4
    x, y = box.x + box.width // 2, box.y + box.height // 2
    return frame[max(0, y - half) : y + half, max(0, x - half) : x + half].copy()


def _sheet(faces: Sequence[Picture]) -> Image.Image:
    """Evenly spaced frames in rows, each with its time."""
    chosen = sorted({round(step * (len(faces) - 1) / (_TILES - 1)) for step in range(_TILES)})
    sheet = Image.new("RGB", (_COLUMNS * _TILE, -(-len(chosen) // _COLUMNS) * _TILE), "white")
    for place, index in enumerate(chosen):
        corner = (place % _COLUMNS * _TILE, place // _COLUMNS * _TILE)
        sheet.paste(Image.fromarray(faces[index]).resize((_TILE, _TILE), Image.Resampling.LANCZOS), corner)
        text = f"{float(index / FPS):.2f} s"
        ImageDraw.Draw(sheet).text((corner[0] + 6, corner[1] + 4), text, fill="white", stroke_width=1)
    return sheet


def _report(
    golden: Golden,
    weights: Weights,
    loading: dict[str, int],
    aligned: _Spoken,
    seconds: float,
    compared: Likeness | None,
) -> dict[str, Any]:
    wanted = PSNR_DB if golden.settings.precision == "fp32" else HALF_PSNR_DB
    alike = compared is None or (compared.psnr_db >= wanted and compared.mean_levels <= MEAN_LEVELS)
    accelerated = golden.settings.device != "cpu" and torch.cuda.is_available()
    measured = lag(aligned.openings, float(FPS), golden.sound) if weights.has("landmarks") else None
    return {
        "what": "musetalk golden",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "official": weights.official,
        "weights": dict(weights.sha256),
        "numbers_loaded": loading,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if accelerated else "cpu",
        "precision": golden.settings.precision,
        "frames": len(aligned.faces),
        "frames_per_second": round(len(aligned.faces) / seconds, 3),
        "lip_lag": None if measured is None else asdict(measured),
        "reference": None if compared is None else {**asdict(compared), "wanted_psnr_db": wanted},
        "passed": weights.official and alike,
    }


def _unfit(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(Reason.INVALID_ARGUMENT, message, field=field)
