"""What every pod of ours has: its files, its tokens, its last words and its exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.logs import JsonFormatter, configure_logs, spellings

log = logging.getLogger(__name__)

MESSAGE_BYTES = 4096
"""A kubelet keeps no more of a termination message, and drops its beginning."""
TEXT_CHARACTERS_MIN = 80
"""Names and hashes are shorter than that, and so are never cut."""
SECRET_CHARACTERS_MIN = 6
"""What is shorter is found in any text, and is no secret."""

Audience = Literal["operator", "gateway", "inference"]


@dataclass(frozen=True, slots=True)
class PodFiles:
    """Where a pod's files are.

    Attributes:
        document: what is to be done, as JSON.
        tokens: folder of one token for each audience.
        message: read by the kubelet when the process has ended.
    """

    document: Path = Path("/etc/avatar/session.json")
    tokens: Path = Path("/var/run/secrets/avatars.dev")
    message: Path = Path("/dev/termination-log")

    @classmethod
    def of(cls, arguments: Namespace) -> PodFiles:
        """As the options of `add_options` say."""
        return cls(arguments.document, arguments.tokens, arguments.termination_message)

    def token(self, audience: Audience) -> str:
        """The token for an audience, read anew since kubelets renew it; empty when there is none."""
        try:
            return (self.tokens / audience).read_text().strip()
        except OSError:
            return ""

    def read(self) -> dict[str, Any]:
        """The document.

        Raises:
            InvalidInputError: it can't be read, or is no JSON object.
        """
        try:
            found = json.loads(self.document.read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidInputError(Reason.INVALID_SPEC, f"{self.document} can't be read: {error}") from None
        if not isinstance(found, dict):
            raise InvalidInputError(Reason.INVALID_SPEC, f"{self.document} holds no JSON object")
        return found

    def say(self, words: Mapping[str, Any]) -> None:
        """Leaves the termination message. What can't be written is logged."""
        try:
            self.message.write_bytes(fitted(words))
        except OSError as error:
            log.warning("the termination message can't be written: %s", error)


def add_options(parser: ArgumentParser, files: PodFiles = PodFiles()) -> None:
    """Where the pod's files are, for whoever runs its command elsewhere; read by `PodFiles.of`."""
    parser.add_argument("--document", type=Path, default=files.document, help="what to do, as JSON")
    parser.add_argument("--tokens", type=Path, default=files.tokens, help="folder of a token an audience")
    parser.add_argument(
        "--termination-message", type=Path, default=files.message, help="where last words are written"
    )


def fitted(words: Mapping[str, Any], room: int = MESSAGE_BYTES) -> bytes:
    """UTF-8 JSON of at most `room` bytes: long texts in it lose their ends, all to the same length.

    Raises:
        ValueError: even short texts would not fit.
    """
    if len(whole := encoded(words)) <= room:
        return whole
    fits, low, high = b"", TEXT_CHARACTERS_MIN, room
    while low <= high:
        length = (low + high) // 2
        tried = encoded(_cut(words, length))
        if len(tried) <= room:
            fits, low = tried, length + 1
        else:
            high = length - 1
    if not fits:
        raise ValueError(f"too many texts for {room} bytes")
    return fits


def failure(error: BaseException) -> tuple[dict[str, str], int]:
    """The termination message and the exit code of a failure; what is not typed is a bug, and logged."""
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        error = AvatarError(Reason.CANCELLED, "the pod was told to end")
    elif not isinstance(error, AvatarError):
        log.critical("a bug", exc_info=error)
        message = f"{type(error).__name__}; the pod's log tells where"
        error = AvatarError(Reason.INTERNAL, message)
    return {"reason": error.reason.value, "message": str(error)}, error.info.exit_code


def configure_pod_logs(level: str, secrets: Iterable[str] = (), **fields: str) -> None:
    """JSON lines on standard error, each with `fields`; whatever a library logs, `secrets` are not in it."""
    configure_logs(level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Discreet(secrets, fields))
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line a request is nobody's news


def end_when_told(files: PodFiles) -> None:
    """From now on SIGTERM ends the process at once; the first process of a container ignores it otherwise."""

    def end(*_: object) -> None:
        words, code = failure(KeyboardInterrupt())
        files.say(words)
        leave(code)

    signal.signal(signal.SIGTERM, end)


def leave(code: int) -> NoReturn:
    """Ends the process at once.

    Threads of gRPC and of the store's library that are still letting go of their last result abort an
    interpreter that is being taken down, and the exit code would be lost.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class _Discreet(JsonFormatter):
    """Writes "[secret]" for what must not be told."""

    def __init__(self, secrets: Iterable[str], fields: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = fields
        told = [secret for secret in secrets if len(secret.strip()) >= SECRET_CHARACTERS_MIN]
        self._secrets = [spelling for secret in told for spelling in spellings(secret)]

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        vars(record).update(self._fields)
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return line


def encoded(words: Mapping[str, Any]) -> bytes:
    """Last words as they are written: UTF-8 JSON without blanks."""
    # Half a surrogate pair, which JSON can hold and UTF-8 can't, becomes a question mark.
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[: length - 1]}…"
    if isinstance(value, Mapping):
        return {key: _cut(each, length) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(each, length) for each in value]
    return value
