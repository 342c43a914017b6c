"""The two ways to a part's published file: fetched from a hub, or found in a folder of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from hashlib import file_digest
from pathlib import Path

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.weights.catalogue import Origin, Part
from avatar_inference.musetalk.weights.download import download
from avatar_inference.musetalk.weights.fetch import DOWNLOADS, Bring, News, Stage, Tell
from avatar_inference.musetalk.weights.files import invalid, open_regular, typed
from avatar_inference.musetalk.weights.hub import Hub

MAX_LOCAL_FILES = 100_000


def from_hub(folder: Path, hub: Hub) -> Bring:
    """Fetches into `downloads` of the folder; what came before a failure is kept there and resumed.

    Args:
        folder: of the weights.
        hub: where from.
    """

    def bring(part: Part, tell: Tell) -> tuple[Origin, Path]:
        origin = part.origins[0]
        path = folder / DOWNLOADS / f"{part.name}-{origin.sha256[:16]}"
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise typed(error, path) from None
        if path.is_file() and _sha256(path) == origin.sha256:
            return origin, path
        _check_room(folder, origin, path)
        news = partial(News, part.name, Stage.FETCHING)
        download(origin, path, hub, lambda done, note: tell(news(done, origin.bytes, note)))
        return origin, path

    return bring


def from_folder(local: Path) -> Bring:
    """Finds the published files by size and hash, whatever their names: a copy of a repository, the hub's own
    cache, or upstream's `models` folder. They are only read.

    Args:
        local: the folder; looked through to the bottom.
    """

    def bring(part: Part, tell: Tell) -> tuple[Origin, Path]:
        by_size = {origin.bytes: origin for origin in part.origins}
        wrong = ""
        for path, size in _files(local):
            if (origin := by_size.get(size)) is None:
                continue
            tell(News(part.name, Stage.CHECKING, note=str(path)))
            if (found := _sha256(path)) == origin.sha256:
                return origin, path
            wrong = f"; {path} has the right size, but SHA-256 {found} instead of {origin.sha256}"
        wanted = " or ".join(f"{origin.file} ({origin.bytes} bytes)" for origin in part.origins)
        origin = part.origins[0]
        raise WeightsError(
            Reason.WEIGHTS_INVALID if wrong else Reason.WEIGHTS_MISSING,
            f"{local} holds no {wanted} of {origin.repository}@{origin.revision} for {part.name}{wrong}",
        )

    return bring


def _files(local: Path) -> Iterator[tuple[Path, int]]:
    """Regular files and their sizes. Links are passed by: what they lead to lies elsewhere or is not ours."""
    seen = 0
    for folder, _, names in os.walk(local):
        for name in sorted(names):
            seen += 1
            if seen > MAX_LOCAL_FILES:
                raise invalid(f"{local} holds more than {MAX_LOCAL_FILES} files; name a smaller folder")
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path, path.stat().st_size


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return file_digest(file, "sha256").hexdigest()


def _check_room(folder: Path, origin: Origin, path: Path) -> None:
    """The file as published and as converted lie beside each other for a while."""
    there = path.with_name(f"{path.name}.part")
    wanted = 2 * origin.bytes - (there.stat().st_size if there.is_file() else 0)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise WeightsError(
            Reason.DISK_FULL,
            f"{folder} has {free / 1e9:.2f} GB free; {origin.file} needs {wanted / 1e9:.2f} GB "
            "until it is converted",
        )
