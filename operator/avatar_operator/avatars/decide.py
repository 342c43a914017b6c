"""One avatar: what is seen, what is to be done. Pure: no clock, no I/O, no memory."""

from __future__ import annotations

from dataclasses import replace

from avatar_core.errors import Reason
from avatar_operator.avatars.deleting import leaving
from avatar_operator.avatars.objects import READY, USED, AvatarStatus, Decision, Prepared, Seen
from avatar_operator.avatars.plan import Plan, say
from avatar_operator.avatars.preparing import prepare
from avatar_operator.conditions import State, is_alarming
from avatar_operator.decision import Note
from avatar_operator.plan import delete_jobs
from avatar_operator.settings import Settings


def reconcile_avatar(seen: Seen, settings: Settings, now: float) -> Decision:
    """Decides what is to be done about an avatar.

    Args:
        seen: the avatar and everything about it.
        settings: of the administrator.
        now: Unix seconds.

    Returns:
        A Decision; empty when all is as it should be. Jobs are made and deleted, and failures concluded,
        on a live picture only: on one from caches the decision is to look.
    """
    plan = _plan(seen, settings, now)
    if not seen.live and plan.needs_live:
        return Decision(look=True)
    before = seen.avatar.status
    status = plan.status and _settled(plan.status, seen.avatar.generation)
    changed = status is not None and status != before
    return Decision(
        add_finalizer=plan.add_finalizer,
        create=plan.create,
        status=status if changed else None,
        notes=_notes(before, status) if status is not None and changed else (),
        deletes=plan.deletes,
        drop_finalizer=plan.drop_finalizer,
        read_refusals=plan.read_refusals,
        wake_at=plan.wake_at,
    )


def _plan(seen: Seen, settings: Settings, now: float) -> Plan:
    avatar = seen.avatar
    if avatar.deleting:
        return leaving(seen, now)
    return replace(_wanted(seen, settings, now), add_finalizer=not avatar.kept)


def _wanted(seen: Seen, settings: Settings, now: float) -> Plan:
    avatar, status = seen.avatar, seen.avatar.status
    if avatar.invalid:
        status = say(replace(status, job_name=""), "False", Reason.INVALID_SPEC, avatar.invalid, now)
        return Plan(status, deletes=delete_jobs(seen.ours))
    if avatar.bundle:
        known = status.prepared
        made = known if known is not None and known.bundle == avatar.bundle else Prepared(avatar.bundle)
        status = replace(status, prepared=made, job_name="", attempt=0)
        status = say(status, "True", State.PREPARED, "the spec names a bundle", now)
        return Plan(status, deletes=delete_jobs(seen.ours))
    return prepare(seen, settings, now)


def _settled(status: AvatarStatus, generation: int) -> AvatarStatus:
    conditions = tuple(replace(condition, generation=generation) for condition in status.conditions)
    return replace(status, conditions=conditions, observed_generation=generation)


def _notes(before: AvatarStatus, after: AvatarStatus) -> tuple[Note, ...]:
    """One Event a transition."""
    for kind in (USED, READY):
        old, new = before.condition(kind), after.condition(kind)
        if new is None or (old is not None and (old.truth, old.reason) == (new.truth, new.reason)):
            continue
        return (Note("Warning" if is_alarming(new.reason) else "Normal", new.reason, new.message),)
    return ()
