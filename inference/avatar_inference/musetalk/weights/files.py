"""Opening files nobody vouches for, and making files that appear whole."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from avatar_core.errors import Reason, WeightsError

MAX_HEADER_BYTES = 8 * 1024 * 1024
"""Of a safetensors file; the UNet's, the largest, has 80 kB."""
WRITING = ".writing-"
"""How folders begin in which files are made."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def invalid(message: str) -> WeightsError:
    """Weights that can't be used."""
    return WeightsError(Reason.WEIGHTS_INVALID, message)


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file for reading; a link could lead anywhere and a pipe would wait for ever.

    Raises:
        WeightsError: WeightsInvalid, when it is none or can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise invalid(f"{path} can't be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise invalid(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def check_header(path: Path) -> None:
    """Refuses a safetensors file whose header claims to be larger than any of ours.

    Raises:
        WeightsError: WeightsInvalid.
    """
    with open_regular(path) as file:
        claimed = int.from_bytes(file.read(8), "little")
        size = os.fstat(file.fileno()).st_size
    if claimed > min(size - 8, MAX_HEADER_BYTES):
        raise invalid(f"{path} of {size} bytes claims a header of {claimed} bytes")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name to write to; what was written there becomes `path` at once, or nothing does.

    Raises:
        WeightsError: DiskFull, or WeightsInvalid when the folder can't be written to.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=WRITING, dir=path.parent) as folder:
            whole = Path(folder) / path.name
            yield whole
            whole.chmod(0o644)  # safetensors keeps it from other users, who may run the server
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(path)
    except OSError as error:
        raise typed(error, path) from None


def typed(error: OSError, path: Path, wanted: int = 0) -> WeightsError:
    """What writing a file failed of, as a typed error.

    Args:
        error: as the system gave it.
        path: that was written.
        wanted: bytes it would have taken; 0 if unknown.
    """
    if error.errno in _NO_ROOM:
        room = f"; {wanted / 1e9:.2f} GB more are needed" if wanted else ""
        return WeightsError(Reason.DISK_FULL, f"no room for {path.name} in {path.parent}{room}")
    return invalid(f"{path} can't be written: {error.strerror}")
