"""Where published files are asked for: addresses, redirects, the token, and answers that mean "later"."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from avatar_core.errors import Reason, WeightsError
from avatar_inference.musetalk.weights.catalogue import Origin

HUB = "https://huggingface.co"
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where files are fetched from.

    Attributes:
        endpoint: of the Hugging Face hub or a mirror with the same paths, http or https.
        token: sent to the endpoint alone, and never over plain HTTP to another machine.
        sleep: waits between tries, seconds.
    """

    endpoint: str = HUB
    token: str | None = field(default=None, repr=False)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        # A library that refuses a header shows it.
        if self.token and not re.fullmatch(r"[!-~]+", self.token):
            message = "holds a blank or a character that no token has"
            raise WeightsError(Reason.INVALID_ARGUMENT, message, field="HF_TOKEN")

    def base(self) -> httpx2.URL:
        """The endpoint. Raises WeightsError (InvalidArgument) when it is no address."""
        try:
            base = httpx2.URL(self.endpoint)
        except httpx2.InvalidURL:
            base = httpx2.URL("")
        if base.scheme not in ("http", "https") or not base.host or base.userinfo:
            message = "must look like https://HOST[:PORT][/PATH], without user and password"
            raise WeightsError(Reason.INVALID_ARGUMENT, message, field="endpoint")
        return base

    def address(self, origin: Origin) -> httpx2.URL:
        """Of a file: <endpoint>/<repository>/resolve/<revision>/<file>."""
        base = self.base()
        path = f"{base.path.rstrip('/')}/{origin.repository}/resolve/{origin.revision}/{origin.file}"
        return base.copy_with(path=path, query=None, fragment=None)

    @contextmanager
    def answer(
        self, client: httpx2.Client, origin: Origin, headers: dict[str, str]
    ) -> Iterator[httpx2.Response]:
        """The answer to a request for a file, its body unread, redirects followed.

        Raises:
            WeightsError: WeightsUnavailable for a redirect that is not followed.
            httpx2.TransportError: nobody answered.
        """
        url = self.address(origin)
        for _ in range(_REDIRECTS):
            request = client.build_request("GET", url, headers=headers | self._authorization(url))
            response = client.send(request, stream=True)
            try:
                if response.status_code not in _MOVED:
                    yield response
                    return
                url = self._redirected(url, response)
            finally:
                response.close()
        raise unavailable(f"{self.endpoint} redirects more than {_REDIRECTS} times")

    def _redirected(self, url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
        try:
            target = url.join(response.headers.get("location", ""))
        except httpx2.InvalidURL:
            target = httpx2.URL("")
        local = self.base().scheme == "http" and is_loopback(self.base().host)
        if target.host and (target.scheme == "https" or (local and target.scheme == "http")):
            return target
        # Not the whole address: it may be signed.
        where = f"{target.scheme or '?'}://{target.host}"
        raise unavailable(f"{self.endpoint} redirects to {where}, which is not https")

    def _authorization(self, url: httpx2.URL) -> dict[str, str]:
        base = self.base()
        same = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        if not self.token or not same or (url.scheme != "https" and not is_loopback(url.host)):
            return {}
        return {"Authorization": f"Bearer {self.token}"}


def client() -> httpx2.Client:
    """A client with time-outs; proxies and certificates as the environment says."""
    return httpx2.Client(timeout=_TIMEOUT, follow_redirects=False)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unavailable(message: str, retry_after: float | None = None) -> WeightsError:
    """Nothing can be fetched at the moment."""
    return WeightsError(Reason.WEIGHTS_UNAVAILABLE, message, retry_after=retry_after)


def asked_wait(response: httpx2.Response) -> float | None:
    """Seconds by its Retry-After, which is a number or a date; None without one."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
