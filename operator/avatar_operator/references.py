"""What a session names: its avatar, its provider, the session it goes on from."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_core.errors import Reason
from avatar_operator.objects import AvatarView, HistoryView, ProviderView, SpecView
from avatar_operator.observed import Observed


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a session can't begin, and what exactly is missing."""

    reason: Reason
    message: str


def missing(seen: Observed) -> Trouble | None:
    """The first of the things a session names that is not there or not ready; None when all are."""
    spec = seen.session.spec
    return (
        _avatar(spec.avatar_ref, seen.avatar, begun=seen.session.status.attempt > 0)
        or _provider(spec, seen.provider)
        or (_history(spec.continue_from, seen.history) if spec.continue_from else None)
    )


def _avatar(name: str, avatar: AvatarView, *, begun: bool) -> Trouble | None:
    """Who has begun keeps an avatar that is being deleted until the end; nobody else gets it."""
    if not avatar.found:
        return Trouble(Reason.AVATAR_NOT_FOUND, f"Avatar {name} does not exist in this namespace")
    if avatar.deleting and not begun:
        return Trouble(Reason.AVATAR_NOT_READY, f"Avatar {name} is being deleted; name another one")
    if not avatar.ready:
        return Trouble(Reason.AVATAR_NOT_READY, _of(f"Avatar {name} is not ready", avatar.message))
    return None


def _provider(spec: SpecView, provider: ProviderView) -> Trouble | None:
    """Without `providerRef` and without a provider named `default`, only a prompt has to wait."""
    name = spec.provider_ref or "default"
    if not provider.found:
        if not spec.provider_ref and spec.source != "prompt":
            return None
        return Trouble(Reason.PROVIDER_NOT_FOUND, f"AvatarProvider {name} does not exist in this namespace")
    if not provider.ready:
        return Trouble(
            Reason.PROVIDER_NOT_READY, _of(f"AvatarProvider {name} is not ready", provider.message)
        )
    if spec.source == "prompt" and not provider.has_llm:
        return Trouble(
            Reason.PROVIDER_NOT_FOUND, f"AvatarProvider {name} has no `llm`, and a prompt needs one"
        )
    return None


def _history(name: str, history: HistoryView) -> Trouble | None:
    if not history.found:
        return Trouble(Reason.HISTORY_NOT_FOUND, f"AvatarSession {name} does not exist in this namespace")
    if not history.succeeded:
        state = "has failed" if history.finished else "has not finished yet"
        return Trouble(Reason.HISTORY_NOT_READY, f"AvatarSession {name} {state}")
    return None


def _of(what: str, message: str) -> str:
    return f"{what}: {message}" if message else what
