"""Who may call: pods, by tokens that the API server admits. Health and reflection are open to everybody."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import grpc

from avatar_core.cluster.kube import Kube, KubeError
from avatar_core.cluster.tokens import REVIEWS_A_SECOND, CallerError, Tokens
from avatar_core.errors import AvatarError, InferenceError, Reason
from avatar_inference.status import abort

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
_OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Callers(grpc.aio.ServerInterceptor):
    """Looks at each call's token before its handler sees the call; who was let in stays to its end.

    Handlers must be coroutines: those that yield their responses would not be waited for.

    Args:
        tokens: knows or reviews them.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @classmethod
    @asynccontextmanager
    async def of_cluster(cls, audience: str) -> AsyncIterator[Self]:
        """One that asks the API server: in a pod its own cluster's, else that of the kubeconfig.

        Raises:
            KubeError: there is no configuration.
        """
        kube = await Kube.connect(REVIEWS_A_SECOND, REVIEWS_A_SECOND)
        try:
            yield cls(Tokens(kube, audience))
        finally:
            await kube.close()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call, behind the question who calls."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        kind = next(kind for kind in _KINDS if getattr(handler, kind))
        inner = getattr(handler, kind)

        async def admitted(request: Any, context: Any) -> Any:
            try:
                await self._admit(context)
            except AvatarError as error:
                await abort(context, error)
            return await inner(request, context)

        return handler._replace(**{kind: admitted})

    async def _admit(self, context: Any) -> None:
        told = dict(context.invocation_metadata() or ()).get("authorization", "")
        try:
            await self._tokens.caller(told, context.peer().rpartition(":")[0])
        except CallerError as error:
            if error.status == 401:
                raise
            raise InferenceError(Reason.OVERLOADED, error.message, retry_after=error.retry_after) from None
        except KubeError as error:
            log.warning("tokens can't be reviewed: %s", error)
            message = "the API server does not say whose the token is"
            wait = error.retry_after or RETRY_SECONDS
            raise InferenceError(Reason.CLUSTER_UNAVAILABLE, message, retry_after=wait) from None
