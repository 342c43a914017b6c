"""Who posts: the token of a session's pod, reviewed by the API server, leads to pod, Job and session."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from avatar_core.errors import AvatarError, Reason
from avatar_operator.cache import Cache
from avatar_operator.kube import GoneError, Kube
from avatar_operator.names import SESSION_UID
from avatar_operator.objects import JobView, SessionView
from avatar_operator.pace import Bucket
from avatar_operator.paths import TOKEN_REVIEWS, one

KEPT_SECONDS = 60.0
KEPT_MAX = 20_000
REVIEWS_A_SECOND = 50.0
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class CallerError(AvatarError):
    """Who posts may not, or not now.

    Args:
        status: of the HTTP answer.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(Reason.UNAUTHENTICATED, message, retry_after=retry_after)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """A pod, as its token tells."""

    namespace: str
    pod: str
    pod_uid: str


@dataclass(frozen=True, slots=True)
class Poster:
    """A session and the Job of its whose pod posts."""

    session: SessionView
    job: JobView


class Tokens:
    """Reviews tokens, each at most once a minute, good or bad.

    Args:
        kube: reviews them.
        audience: that they must be for.
        clock: monotonic seconds.
    """

    def __init__(self, kube: Kube, audience: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._audience, self._clock = kube, audience, clock
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()
        self._reviewing: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._bucket = Bucket(REVIEWS_A_SECOND, REVIEWS_A_SECOND)

    async def caller(self, token: str) -> Caller:
        """The pod whose token this is.

        Raises:
            CallerError: 401, it is none for this audience; 429, too many unknown tokens.
            KubeError: the API server does not answer.
        """
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0] + KEPT_SECONDS:
            return _admitted(known[1])
        review = self._reviewing.get(digest)
        if review is None:
            if not self._bucket.take():
                raise CallerError(429, "too many tokens at once", retry_after=1)
            review = self._reviewing[digest] = asyncio.create_task(self._review(token))
            review.add_done_callback(lambda _: self._reviewing.pop(digest, None))
        caller = await asyncio.shield(review)
        self._keep(digest, caller)
        return _admitted(caller)

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
        return Caller(name.removeprefix(_ACCOUNT).partition(":")[0], pod, uid)


def _admitted(caller: Caller | None) -> Caller:
    if caller is None:
        raise CallerError(401, "the token is none of a session's pod for this audience")
    return caller


async def find_poster(caller: Caller, cache: Cache, kube: Kube) -> Poster:
    """The session that a pod works for: pod, the Job that controls it, the session that controls that.

    Raises:
        CallerError: 403, the pod works for no session; 503, its Job has not been seen yet.
        KubeError: the API server does not answer.
    """
    pod = cache.pod(caller.pod_uid)
    if pod is None:
        # It may post sooner than a watch tells of it.
        try:
            document = await kube.get(one("pods", caller.namespace, caller.pod))
        except GoneError:
            raise CallerError(403, "there is no such pod") from None
        if document["metadata"]["uid"] != caller.pod_uid or SESSION_UID not in document["metadata"].get(
            "labels", {}
        ):
            raise CallerError(403, "the pod is none of a session")
        cache.put("pods", document)
        pod = cache.pod(caller.pod_uid)
    job = cache.job(pod.job_uid) if pod else None
    if pod is not None and pod.job_uid and job is None:
        raise CallerError(503, "the pod's Job is not known yet", retry_after=1)
    session = cache.session(job.view.owner_uid) if job and isinstance(job.view, JobView) else None
    if job is None or session is None or not isinstance(job.view, JobView):
        raise CallerError(403, "the pod's Job is none of a session")
    if job.namespace != caller.namespace or session.namespace != caller.namespace:
        raise CallerError(403, "the pod's Job is none of a session of its namespace")
    return Poster(session, job.view)
