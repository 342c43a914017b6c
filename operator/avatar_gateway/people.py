"""Who may watch by his own rights in the cluster: whoever may `get` a session may see its video."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from avatar_core.cluster.claims import TOKEN_CHARACTERS_MAX, is_plausible
from avatar_core.cluster.kube import GoneError, Kube
from avatar_core.cluster.pace import Bucket
from avatar_core.cluster.tokens import TOKEN_REVIEWS, CallerError, bearer_token
from avatar_core.resources import API_VERSION, GROUP

ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
KEPT_SECONDS = 10.0
"""So long what was decided holds: a player asks for many pieces."""
KEPT_MAX = 10_000
REVIEWS_A_SECOND = 20.0
"""Of everybody together; pods, whose tokens are told from others beforehand, are not held up."""
_USER = ("uid", "groups", "extra")


class People:
    """Asks the API server who calls and what he may.

    Tokens may be for the gateway's audience, or such as the API server itself takes.

    Args:
        kube: is asked.
        audience: the gateway's.
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
        self._known: OrderedDict[tuple[bytes, str, str], tuple[float, str]] = OrderedDict()
        self._bucket = Bucket(REVIEWS_A_SECOND, 2 * REVIEWS_A_SECOND, clock)

    async def uid_of(self, authorization: str, namespace: str, name: str) -> str | None:
        """Uid of a session that the caller may `get`; None when there is no such session.

        Raises:
            CallerError: 401, the token is nobody's; 403, he may not; 429, too many ask.
            KubeError: the API server does not answer.
        """
        token = bearer_token(authorization)
        asked = sha256(token.encode()).digest(), namespace, name
        kept, uid = self._known.get(asked, (0.0, ""))
        if uid and self._clock() < kept + KEPT_SECONDS:
            return uid
        if not self._bucket.take():
            raise CallerError(429, "too many ask at once", retry_after=1)
        user = await self._user(token)
        if not await self._may_get(user, namespace, name):
            raise CallerError(403, f"you may not get the session {namespace}/{name}")
        found = await self._uid(namespace, name)
        if found is not None:
            self._keep(asked, found)
        return found

    async def _user(self, token: str) -> dict[str, Any]:
        ours = is_plausible(token, self._audience, self._wall())
        spec: dict[str, Any] = {"token": token} | ({"audiences": [self._audience]} if ours else {})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status: dict[str, Any] = {}
        if len(token) <= TOKEN_CHARACTERS_MAX:
            status = (await self._kube.create(TOKEN_REVIEWS, body))["status"]
        if not status.get("authenticated") or (ours and self._audience not in status.get("audiences", ())):
            raise CallerError(401, "the token is nobody's here")
        user: dict[str, Any] = status["user"]
        return user

    async def _may_get(self, user: dict[str, Any], namespace: str, name: str) -> bool:
        what = {
            "group": GROUP,
            "resource": "avatarsessions",
            "verb": "get",
            "namespace": namespace,
            "name": name,
        }
        spec = {"user": user.get("username", ""), "resourceAttributes": what}
        spec |= {key: user[key] for key in _USER if key in user}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool((await self._kube.create(ACCESS_REVIEWS, body))["status"].get("allowed"))

    async def _uid(self, namespace: str, name: str) -> str | None:
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/avatarsessions/{name}"
        try:
            return str((await self._kube.get(path))["metadata"]["uid"])
        except GoneError:
            return None

    def _keep(self, asked: tuple[bytes, str, str], uid: str) -> None:
        self._known[asked] = (self._clock(), uid)
        self._known.move_to_end(asked)
        while len(self._known) > KEPT_MAX:
            self._known.popitem(last=False)
