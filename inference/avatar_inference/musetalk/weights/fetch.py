"""Brings parts into a folder of weights: found or fetched, checked, converted. A second run does nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.layout import ModelLayout
from avatar_inference.musetalk.weights.catalogue import Origin, Part
from avatar_inference.musetalk.weights.files import WRITING
from avatar_inference.musetalk.weights.folder import open_weights
from avatar_inference.musetalk.weights.lock import alone
from avatar_inference.musetalk.weights.record import Source

DOWNLOADS = "downloads"


class Stage(StrEnum):
    """What happens to a part."""

    CHECKING = "checking"
    WAITING = "waiting"
    FETCHING = "fetching"
    CONVERTING = "converting"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class News:
    """How far a part is.

    Attributes:
        part: its name; empty while the whole waits.
        stage: what happens to it.
        done, total: bytes, while it is fetched.
        note: what is worth telling; empty if nothing is.
    """

    part: str
    stage: Stage
    done: int = 0
    total: int = 0
    note: str = ""


Tell = Callable[[News], None]
Bring = Callable[[Part, Tell], tuple[Origin, Path]]
"""Finds or fetches a part's published file; returns which it is and where it lies, checked by hash."""


def fetch(folder: Path, parts: Sequence[Part], bring: Bring, tell: Tell, layout: ModelLayout) -> None:
    """Brings what is missing. Several processes may do so at once; one works and the others wait.

    Args:
        folder: of the weights; made if missing.
        parts: that are wanted.
        bring: `from_folder(...)` or `from_hub(...)`.
        tell: hears how far it is.
        layout: sizes of the networks; the published ones are `layout.MUSETALK`.

    Raises:
        WeightsError: WeightsUnavailable, WeightsInvalid, WeightsMissing (a local folder lacks a file),
            DiskFull, MissingDependency. What was brought before stays.
    """
    missing = [part for part in parts if not _is_there(folder, part, layout, tell)]
    if not missing:  # nor is anything written then: the folder may be read-only
        return
    _check_converter()
    note = f"another process is bringing weights into {folder}"
    with alone(folder, lambda: tell(News("", Stage.WAITING, note=note))):
        for left in folder.glob(f"{WRITING}*"):  # by a process that was killed
            shutil.rmtree(left)
        for part in missing:
            if not _is_there(folder, part, layout, tell):
                _bring(folder, part, bring, tell, layout)
        if (folder / DOWNLOADS).is_dir() and not any((folder / DOWNLOADS).iterdir()):
            (folder / DOWNLOADS).rmdir()


def _is_there(folder: Path, part: Part, layout: ModelLayout, tell: Tell) -> bool:
    """Whether a part was converted from the published file and is unharmed."""
    try:
        weights = open_weights(folder)
        source = weights.entry(part.name).source
        published = source is not None and source.sha256 in {origin.sha256 for origin in part.origins}
        if not published or weights.layout != layout:
            return False
        tell(News(part.name, Stage.CHECKING))
        weights.verify(part.name)
    except WeightsError as error:
        if error.reason is Reason.WEIGHTS_INVALID:
            tell(News(part.name, Stage.CHECKING, note=f"{error}; bringing it anew"))
        return False
    tell(News(part.name, Stage.READY))
    return True


def _check_converter() -> None:
    """Says so before gigabytes are fetched, not after."""
    lacking = [name for name in ("torch", "diffusers", "transformers", "safetensors") if not find_spec(name)]
    if lacking:
        message = f"converting weights needs {', '.join(lacking)}; install avatar-operator[musetalk]"
        raise WeightsError(Reason.MISSING_DEPENDENCY, message)


def _bring(folder: Path, part: Part, bring: Bring, tell: Tell, layout: ModelLayout) -> None:
    from avatar_inference.musetalk.weights.convert import read_part
    from avatar_inference.musetalk.weights.writing import write_weights

    origin, path = bring(part, tell)
    tell(News(part.name, Stage.CONVERTING))
    source = Source(**asdict(origin))
    write_weights(folder, {part.name: read_part(part.name, path, layout)}, layout, {part.name: source})
    if path.parent == folder / DOWNLOADS:
        path.unlink()
    tell(News(part.name, Stage.READY))
