"""Downloads a program of an official release and checks it."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from tests.cluster.programs import Release

# Seconds without an answer or a byte: whoever can't reach the release should soon go on.
PATIENCE = 5
_CHUNK = 1 << 20


class DownloadError(Exception):
    """The release can't be reached, or it isn't what its checksum says."""


def download(release: Release, program: str, target: Path) -> None:
    """Writes a released program to `target`.

    Raises:
        DownloadError: no answer, no such file, or another SHA-256 than the one published.
    """
    url, checksums = release.urls(program)
    archive = target.with_name("download")
    try:
        with urllib.request.urlopen(checksums, timeout=PATIENCE) as response:
            wanted = published_digest(response.read().decode(), PurePosixPath(url).name)
        with urllib.request.urlopen(url, timeout=PATIENCE) as response, archive.open("wb") as file:
            shutil.copyfileobj(response, file, _CHUNK)
    except (OSError, UnicodeDecodeError) as error:
        raise DownloadError(f"{url}: {error}") from None
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise DownloadError(f"{url} has SHA-256 {found}, published is {wanted or 'none'}")
    if url.endswith((".tar.gz", ".tgz")):
        _extract(archive, program, target)
    else:
        archive.rename(target)


def published_digest(text: str, file: str) -> str | None:
    """The digest of `file` in a list of lines "digest  file", or the bare digest that is the whole text."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and len(lines[0]) == 1:
        return lines[0][0]
    return next((words[0] for words in lines if len(words) == 2 and words[1].lstrip("*") == file), None)


def _extract(archive: Path, program: str, target: Path) -> None:
    """One member only, so that names within the archive decide nothing."""
    try:
        with tarfile.open(archive) as tar:
            member = next((m for m in tar if m.isfile() and PurePosixPath(m.name).name == program), None)
            content = tar.extractfile(member) if member else None
            if content is None:
                raise DownloadError(f"the release holds no {program}")
            with target.open("wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
    except tarfile.TarError as error:
        raise DownloadError(f"the release is no archive: {error}") from None
