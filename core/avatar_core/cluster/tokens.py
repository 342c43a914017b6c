"""Who calls: the token of a pod, for one audience, as the API server judges it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from avatar_core.cluster.claims import is_plausible
from avatar_core.cluster.kube import Kube
from avatar_core.cluster.pace import Bucket
from avatar_core.errors import AvatarError, Reason

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105
KEPT_SECONDS = 60.0
KEPT_MAX = 20_000
REVIEWS_A_SECOND = 50.0
REVIEWS_A_SECOND_OF_ONE = 20.0
"""Of one address, which may be another replica's, or a node's with all its pods behind it."""
ADDRESSES_MAX = 10_000
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class CallerError(AvatarError):
    """Who calls may not, or not now.

    Args:
        status: of the HTTP answer.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(Reason.UNAUTHENTICATED, message, retry_after=retry_after)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """A pod, as its token tells; `account` is the ServiceAccount's name."""

    namespace: str
    account: str
    pod: str
    pod_uid: str


def bearer_token(authorization: str) -> str:
    """The token in a request's header.

    Bytes that are no UTF-8 arrive as what can't be written again; no token has anything but ASCII.

    Raises:
        CallerError: 401, there is none.
    """
    kind, _, token = authorization.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or not token.isascii():
        raise CallerError(401, "send the pod's token as `Authorization: Bearer …`")
    return token


class Tokens:
    """Reviews tokens, each at most once a minute, good or bad.

    Args:
        kube: reviews them.
        audience: that they must be for.
        clock: monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        kube: Kube,
        audience: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._kube, self._audience, self._clock, self._wall = kube, audience, clock, wall
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()
        self._reviewing: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._bucket = Bucket(REVIEWS_A_SECOND, REVIEWS_A_SECOND, clock)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def caller(self, authorization: str, address: str) -> Caller:
        """The pod whose token this is.

        Args:
            authorization: the request's header.
            address: whom the request came from; one that sends many unknown tokens holds up only itself.

        Raises:
            CallerError: 401, no token, or none for this audience; 429, too many unknown tokens.
            KubeError: the API server does not answer.
        """
        token = bearer_token(authorization)
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0] + KEPT_SECONDS:
            return _admitted(known[1])
        review = self._reviewing.get(digest)
        if review is None:
            if not is_plausible(token, self._audience, self._wall()):
                return _admitted(None)
            if not self._bucket_of(address).take() or not self._bucket.take():
                raise CallerError(429, "too many tokens at once", retry_after=1)
            review = self._reviewing[digest] = asyncio.create_task(self._review(token))
            review.add_done_callback(lambda _: self._reviewing.pop(digest, None))
        caller = await asyncio.shield(review)
        self._keep(digest, caller)
        return _admitted(caller)

    def _bucket_of(self, address: str) -> Bucket:
        bucket = self._buckets.get(address)
        if bucket is None:
            rate = REVIEWS_A_SECOND_OF_ONE
            bucket = self._buckets[address] = Bucket(rate, rate, self._clock)
        self._buckets.move_to_end(address)
        while len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return bucket

    def _keep(self, digest: bytes, caller: Caller | None) -> None:
        self._known[digest] = (self._clock(), caller)
        self._known.move_to_end(digest)
        while len(self._known) > KEPT_MAX:
            self._known.popitem(last=False)

    async def _review(self, token: str) -> Caller | None:
        spec = {"token": token, "audiences": [self._audience]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = (await self._kube.create(TOKEN_REVIEWS, body))["status"]
        # A server that knows no audiences says yes to everything; only this shows that it looked.
        if not status.get("authenticated") or self._audience not in status.get("audiences", ()):
            return None
        user = status.get("user", {})
        extra, name = user.get("extra", {}), user.get("username", "")
        pod, uid = extra.get(_POD_NAME, [""])[0], extra.get(_POD_UID, [""])[0]
        if not name.startswith(_ACCOUNT) or not pod or not uid:
            return None
        namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
        return Caller(namespace, account, pod, uid)


def _admitted(caller: Caller | None) -> Caller:
    if caller is None:
        raise CallerError(401, "the token is none of a session's pod for this audience")
    return caller
