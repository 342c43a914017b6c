"""Where a link to a video leads from outside: through the API server, or straight to the gateway. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from avatar_core.errors import AvatarError, Reason
from avatar_core.mistakes import printable

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SERVICE = re.compile(rf"({_LABEL})\.({_LABEL})\.svc(?:\.cluster\.local)?")
_PATH = re.compile(r"/v/[A-Za-z0-9_.-]+/[a-z0-9-]+/[a-z0-9-]+/")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Way:
    """How the names below a link are asked for.

    Attributes:
        prefix: goes before a name: a path on the API server, or a URL.
        inside: it is the API server that is asked, with the person's own credentials; else nobody's.
        service: `http:NAME:PORT` as RBAC knows it, and its namespace; empty outside.
    """

    prefix: str
    inside: bool
    service: tuple[str, str] = ("", "")


def way_of(link: str) -> Way:
    """The way of `status.video.url`.

    A host of the form NAME.NAMESPACE.svc exists only within the cluster, so the API server is asked to pass
    the request on. Whoever writes statuses must not choose what is asked there: only links have a way.

    Raises:
        AvatarError: NOT_POSSIBLE, it is no link.
    """
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _no_link(link) from None
    if not host or parts.scheme not in _PORTS or parts.username or parts.query or parts.fragment:
        raise _no_link(link)
    if not parts.path.endswith("/") or ".." in parts.path.split("/"):
        raise _no_link(link)
    if (inside := _SERVICE.fullmatch(host)) is None:
        return Way(link, inside=False)
    if not _PATH.fullmatch(parts.path):
        raise _no_link(link)
    name, namespace = inside.groups()
    service = f"{parts.scheme}:{name}:{port}"
    prefix = f"/api/v1/namespaces/{namespace}/services/{service}/proxy{parts.path}"
    return Way(prefix, inside=True, service=(service, namespace))


def _no_link(link: str) -> AvatarError:
    return AvatarError(
        Reason.NOT_POSSIBLE, f"status.video.url is no link to a video: {printable(link[:200])}"
    )
