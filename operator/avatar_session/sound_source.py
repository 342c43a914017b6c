"""Where a given sound is: a file of this machine, or one that is fetched first."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from avatar_core.errors import InvalidInputError, Reason
from avatar_core.fetching import Fetching, fetch
from avatar_core.limits import MAX_AUDIO_FILE_BYTES

AUDIO_FIELD = "spec.audio"


async def find_sound(audio: str, folder: Path, fetching: Fetching) -> Path:
    """The file that `spec.audio` means.

    Args:
        audio: a path, a file:// URI or an https:// address.
        folder: for what is fetched; goes with whoever made it.
        fetching: how.

    Raises:
        AvatarError: as `check_sound` and `fetch`.
    """
    if (path := check_sound(audio)) is not None:
        return path
    path = folder / "sound"
    await fetch(audio, path, fetching, limit_bytes=MAX_AUDIO_FILE_BYTES, field=AUDIO_FIELD)
    return path


def check_sound(audio: str) -> Path | None:
    """The file on this machine; None when it is elsewhere.

    Raises:
        InvalidInputError: another kind of address, or no such file.
    """
    parts = urlsplit(audio)
    if "://" in audio and parts.scheme == "https":
        return None
    if "://" in audio and parts.scheme != "file":
        message = f"{parts.scheme}:// can't be read; give a path, a file:// URI or an https:// address"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field=AUDIO_FIELD)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(audio)
    if not path.is_file():
        raise InvalidInputError(Reason.INVALID_SPEC, f"there is no file {str(path)!r}", field=AUDIO_FIELD)
    return path
