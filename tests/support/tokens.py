"""Tokens as the API server writes them, but for their signature."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

FAR = 2**33


def unsigned(
    audience: object, *, signature: str = "good", expires: int | None = FAR, alone: bool = False
) -> str:
    """A JWT for an audience, with any text for its signature; `alone`: the audience is no list."""
    claims = {"aud": audience if alone or not isinstance(audience, str) else [audience], "exp": expires}
    header, payload = (base64url(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims))
    return f"{header}.{payload}.{signature}"


def base64url(data: bytes) -> str:
    """Without padding, as in a JWT."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
