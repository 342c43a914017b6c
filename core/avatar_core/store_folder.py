"""What is particular about a store that is a folder."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

UNFINISHED = re.compile(r"#\d+$")
"""How the library calls a file that is not whole yet; it neither lists nor deletes such."""


def unfinished(folder: Path, prefix: str) -> list[tuple[str, int, datetime]]:
    """Key, size and time of files of uploads that are under way, or whose process was killed."""
    found = []
    for path in (folder / prefix).rglob("*#*"):
        if not UNFINISHED.search(path.name) or path.is_symlink() or not path.is_file():
            continue
        with suppress(FileNotFoundError):  # the upload is whole now
            facts = path.stat()
            modified = datetime.fromtimestamp(facts.st_mtime, UTC)
            found.append((path.relative_to(folder).as_posix(), facts.st_size, modified))
    return found
