"""Who may do what to which object."""

from __future__ import annotations

from collections.abc import Collection

from avatar_core.cluster.tokens import CallerError, Tokens
from avatar_core.folders import RESULT
from avatar_gateway.keys import Key
from avatar_gateway.owners import Owners


class Permissions:
    """Judges requests by their bearer token.

    Args:
        tokens: of this gateway's audience.
        owners: of the pods that they are bound to.
        readers: ServiceAccounts, as `namespace:name`, that may read every receipt.
    """

    def __init__(self, tokens: Tokens, owners: Owners, readers: Collection[str]) -> None:
        self._tokens, self._owners, self._readers = tokens, owners, frozenset(readers)

    async def check(self, authorization: str, address: str, key: Key | None, *, reads: bool) -> Key:
        """The key, if the request is allowed.

        Args:
            authorization: the request's header.
            address: whom it came from.
            key: what it is about; None for a path that is no key.
            reads: it changes nothing.

        Raises:
            CallerError: 401, 403, 429.
            KubeError: the API server does not answer.
        """
        caller = await self._tokens.caller(authorization, address)
        if key is None:
            raise CallerError(403, "there are no such names")
        if reads and key.name == RESULT and f"{caller.namespace}:{caller.account}" in self._readers:
            return key
        if (
            caller.namespace != key.namespace
            or await self._owners.session_of(caller, writes=not reads) != key.uid
        ):
            raise CallerError(403, "the pod does not work for this session")
        return key
