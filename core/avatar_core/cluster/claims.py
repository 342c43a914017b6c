"""What can be told of a token before anybody is asked. Pure."""

from __future__ import annotations

import json
from base64 import b64decode

TOKEN_CHARACTERS_MAX = 8 * 1024
LEEWAY_SECONDS = 300.0
"""Clocks differ; the API server decides in the end."""


def is_plausible(token: str, audience: str, now: float) -> bool:
    """Whether a review could admit it: a JWT for this audience that has not expired. It proves nothing.

    Args:
        token: as it was sent.
        audience: that it must be for.
        now: Unix seconds.
    """
    if len(token) > TOKEN_CHARACTERS_MAX or token.count(".") != 2 or not all(token.split(".")):
        return False
    payload = token.split(".")[1]
    try:
        claims = json.loads(b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return False
    if not isinstance(claims, dict):
        return False
    audiences, expires = claims.get("aud"), claims.get("exp")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or not isinstance(expires, int | float):
        return False
    return audience in audiences and now < expires + LEEWAY_SECONDS
