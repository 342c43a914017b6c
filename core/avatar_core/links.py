"""Links to videos: whoever has one may watch until it expires; nothing else needs to be known or stored."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256

KEY_BYTES_MIN = 32


def signature(key: bytes, kid: str, expires_at: int, folder: str) -> str:
    """The signature of a link, 43 characters that may stand in a path.

    Args:
        key: secret, at least 32 bytes.
        kid: which key it is, so that keys can be changed while links live.
        expires_at: Unix seconds.
        folder: `<namespace>/<uid>`, all of which the link opens.
    """
    # No part holds a line break, so no two links are signed as the same text.
    text = f"{kid}\n{expires_at}\n{folder}"
    return urlsafe_b64encode(hmac.new(key, text.encode(), sha256).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class SignedLinks:
    """Makes links.

    The signature is in the path, so relative names within a page or playlist inherit it.

    Attributes:
        base: of the gateway, as viewers reach it, such as "https://videos.example".
        kid: name of the key: letters, digits, '-' and '_'.
        key: secret, at least 32 bytes.
    """

    base: str
    kid: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES_MIN:
            raise ValueError(f"a key for links must be at least {KEY_BYTES_MIN} bytes")

    def url(self, namespace: str, uid: str, expires_at: int) -> str:
        """`<base>/v/<kid>.<expiry>.<signature>/<namespace>/<uid>/`, good until `expires_at`, Unix seconds."""
        folder = f"{namespace}/{uid}"
        signed = signature(self.key, self.kid, expires_at, folder)
        return f"{self.base.rstrip('/')}/v/{self.kid}.{expires_at}.{signed}/{folder}/"
