"""Turns what the openai client raises into typed errors, without a key in any message."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

from avatar_core.errors import ProviderError, Reason
from avatar_core.logs import spellings

_KEYLIKE = re.compile(r"\b(?:sk|pk|key|gsk|hf|Bearer)[-_ ][\w*.-]{6,}")
_STATUS = {401: "UNAUTHORIZED", 403: "UNAUTHORIZED", 404: "NOT_FOUND", 429: "RATE_LIMITED"}
_TRANSPORT = ("httpx", "httpcore", "anyio")
"""Libraries below the client whose errors it lets through when a body breaks off."""
_TRANSIENT = {408, 409, 425}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom a request goes to, as far as a message may tell.

    Attributes:
        service: "LLM" or "SPEECH", the first word of the reasons.
        base_url: where it is; None is the client's own default.
        model: the model asked for.
        key: the secret; only used to keep it out of messages.
    """

    service: Literal["LLM", "SPEECH"]
    base_url: str | None
    model: str
    key: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.base_url or "https://api.openai.com")
        host = parts.hostname or "?"
        name = "LLM" if self.service == "LLM" else "TTS"
        return (
            f"the {name} {self.model!r} at {host}:{parts.port}"
            if parts.port
            else f"the {name} {self.model!r} at {host}"
        )

    def failure(self, suffix: str, message: str, retry_after: float | None = None) -> ProviderError:
        """A typed error such as LLM_UNAVAILABLE, from the suffix "UNAVAILABLE"."""
        reason = Reason[f"{self.service}_{suffix}"]
        return ProviderError(reason, f"{self} {self._scrubbed(message)}", retry_after=retry_after)

    def explain(self, error: Exception) -> ProviderError:
        """The typed error for what a call to the openai client raised.

        Raises:
            Exception: `error` itself when it is no fault of the other side.
        """
        import openai

        if isinstance(error, openai.APITimeoutError):
            return self.failure("UNAVAILABLE", "did not answer in time")
        if isinstance(error, openai.APIConnectionError):
            return self.failure("UNAVAILABLE", f"can't be reached: {_cause(error)}")
        if isinstance(error, openai.APIStatusError):
            return self._status(error.status_code, error.body, error.response.headers)
        if isinstance(error, openai.APIError):  # an error event within a stream
            limited = "rate" in f"{error.code} {error.type}".lower() or str(error.code) == "429"
            return self.failure("RATE_LIMITED" if limited else "UNAVAILABLE", f"broke off: {error.message}")
        if isinstance(error, json.JSONDecodeError | UnicodeError):
            return self.failure("UNAVAILABLE", "sent something unreadable")
        if type(error).__module__.startswith(_TRANSPORT):
            return self.failure("UNAVAILABLE", f"broke off: {_cause(error)}")
        raise error

    def _status(self, status: int, body: object, headers: Mapping[str, str]) -> ProviderError:
        transient = status >= 500 or status in _TRANSIENT
        suffix = _STATUS.get(status, "UNAVAILABLE" if transient else "BAD_REQUEST")
        # Servers repeat a wrong key in their answer to it.
        detail = "" if suffix == "UNAUTHORIZED" else _detail(body)
        return self.failure(suffix, f"answered {status}{detail}", retry_after(headers))

    def _scrubbed(self, message: str) -> str:
        for spelling in spellings(self.key) if self.key else ():
            message = message.replace(spelling, "***")
        return _KEYLIKE.sub("***", message)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait (`retry-after-ms`, `retry-after` in seconds or as a date), or None."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after", "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, IndexError):
        return None


def _detail(body: object) -> str:
    """What a JSON answer says about the mistake; pages of HTML say nothing."""
    message = body.get("message") or body.get("detail") if isinstance(body, Mapping) else None
    return f": {' '.join(str(message).split())[:200]}" if message else ""


def _cause(error: Exception) -> str:
    """The lowest exception's own words, such as "Connection refused"."""
    while cause := (error.__cause__ or error.__context__):
        if not isinstance(cause, Exception):
            break
        error = cause
    return str(error)[:200] or type(error).__name__
