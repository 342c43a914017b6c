"""Links to videos: whoever has one may watch until it expires; nothing else needs to be known or stored."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from avatar_core.folders import NAMESPACE, UID

KEY_BYTES_MIN = 32
KID = r"[A-Za-z0-9_-]{1,32}"
# An expiry has one spelling only, and a signature is compared as it is spelt.
_PATH = re.compile(
    rf"/v/(?P<kid>{KID})\.(?P<expires>[1-9][0-9]{{0,11}})\.(?P<signature>[A-Za-z0-9_-]{{43}})"
    rf"/(?P<folder>(?P<namespace>{NAMESPACE})/(?P<uid>{UID}))/(?P<name>[^/?#%]*)"
)


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


def check_key(key: bytes) -> bytes:
    """The key, if it is long enough.

    Raises:
        ValueError: it is not.
    """
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"a key for links must be at least {KEY_BYTES_MIN} bytes")
    return key


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
        check_key(self.key)

    def url(self, namespace: str, uid: str, expires_at: int) -> str:
        """`<base>/v/<kid>.<expiry>.<signature>/<namespace>/<uid>/`, good until `expires_at`, Unix seconds."""
        folder = f"{namespace}/{uid}"
        signed = signature(self.key, self.kid, expires_at, folder)
        return f"{self.base.rstrip('/')}/v/{self.kid}.{expires_at}.{signed}/{folder}/"


@dataclass(frozen=True, slots=True)
class Link:
    """What a request's path says; nothing of it is proved.

    Attributes:
        kid, expires_at, signature: as `signature` takes and gives them.
        namespace, uid: of the session.
        name: what is wanted of the folder; empty for its page.
    """

    kid: str
    expires_at: int
    signature: str = field(repr=False)
    namespace: str
    uid: str
    name: str


def read_link(raw_path: str) -> Link | None:
    """The link that a path is, before any percent sign is undone; None when it is none."""
    found = _PATH.fullmatch(raw_path)
    if found is None:
        return None
    kid, namespace, uid, name = found["kid"], found["namespace"], found["uid"], found["name"]
    return Link(kid, int(found["expires"]), found["signature"], namespace, uid, name)


class Verdict(StrEnum):
    """What a link is worth."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG = "wrong"


def judge(link: Link, keys: Collection[bytes], now: float) -> Verdict:
    """Whether a link opens its folder.

    Args:
        link: as it was sent.
        keys: accepted ones. All are tried: one that moved to the other's place, to let a new one in, is
            still the one that signed the links of its time, and a link's id is signed like the rest of it.
        now: Unix seconds.

    Returns:
        EXPIRED only for what was signed by us; all else is WRONG, in the same time.
    """
    folder = f"{link.namespace}/{link.uid}"
    told = link.signature.encode()
    expected = [signature(key, link.kid, link.expires_at, folder).encode() for key in keys]
    if not sum([hmac.compare_digest(each, told) for each in expected]):
        return Verdict.WRONG
    return Verdict.GOOD if now < link.expires_at else Verdict.EXPIRED
