"""The step of a provider: what is to be said about it is said."""

from __future__ import annotations

import time
from collections.abc import Collection

from avatar_operator.cache import Cache
from avatar_operator.providers.decide import reconcile_provider
from avatar_operator.status_json import condition_json
from avatar_operator.working import Look
from avatar_operator.writing import Target, Writer


class Providers:
    """Looks at providers.

    Args:
        cache: what is known.
        writer: the way out.
    """

    kind = "provider"

    def __init__(self, cache: Cache, writer: Writer) -> None:
        self._cache, self._writer = cache, writer

    def begin(self) -> Collection[str]:
        """Every provider."""
        return self._cache.provider_uids

    def named(self, uid: str) -> str | None:
        """Namespace and name; None when there is no such provider."""
        provider = self._cache.provider_of(uid)
        return f"{provider.namespace}/{provider.name}" if provider else None

    def forget(self, uid: str) -> None:
        """Nothing is remembered of providers."""

    async def step(self, uid: str) -> Look:
        """One look at a provider.

        Raises:
            KubeError: a request failed.
        """
        provider = self._cache.provider_of(uid)
        decision = reconcile_provider(provider, time.time()) if provider else None
        if provider is None or decision is None or decision.condition is None:
            return Look()
        target = Target(
            "AvatarProvider", provider.namespace, provider.name, provider.uid, provider.resource_version
        )
        generation = provider.generation
        status = {"conditions": [condition_json(decision.condition)], "observedGeneration": generation}
        await self._writer.status(target, {}, status)
        if decision.note is not None:
            await self._writer.note(target, decision.note)
        return Look(idle=False)
