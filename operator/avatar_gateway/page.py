"""The page on which a video is watched. It asks for nothing but what lies beside it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from aiohttp import web

COMMON = {
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of all that viewers get: the link is a secret, and so is what it opens."""
_PAGE = Path(__file__).with_name("watch.html").read_text(encoding="utf-8")


def policy(html: str) -> str:
    """What a page may do: run its own script, in its own style, and ask and play what lies beside it."""
    inside = {tag: re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL) for tag in ("script", "style")}
    hashes = {tag: " ".join(map(_hashed, texts)) for tag, texts in inside.items()}
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src "
        "'self'; media-src 'self' blob:; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def page() -> web.Response:
    """The page, the same for every video."""
    headers = {**COMMON, "Content-Security-Policy": _POLICY}
    return web.Response(text=_PAGE, content_type="text/html", charset="utf-8", headers=headers)


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


_POLICY = policy(_PAGE)
