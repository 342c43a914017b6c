"""An avatar that is being deleted stays until no session uses it any more."""

from __future__ import annotations

from avatar_operator.avatars.objects import USED, Seen
from avatar_operator.avatars.plan import Plan, say
from avatar_operator.conditions import State
from avatar_operator.plan import LOOK_AGAIN_SECONDS, delete_jobs

NAMES_TOLD = 3


def leaving(seen: Seen, now: float) -> Plan:
    """What is still to be done before the avatar may vanish.

    In a namespace that is being deleted nothing is waited for; whether it is, only a live picture tells.
    """
    avatar = seen.avatar
    if not avatar.kept:
        return Plan(None)
    deletes = delete_jobs(seen.ours)
    if seen.namespace_terminating or not seen.users:
        return Plan(None, deletes=deletes, drop_finalizer=True)
    status = say(avatar.status, "True", State.IN_USE, in_use(seen.users), now, USED)
    return Plan(status, deletes=deletes, wake_at=now + LOOK_AGAIN_SECONDS, sure=True)


def in_use(users: tuple[str, ...]) -> str:
    """Which sessions an avatar waits for."""
    told = ", ".join(users[:NAMES_TOLD])
    more = f" and {len(users) - NAMES_TOLD} more" if len(users) > NAMES_TOLD else ""
    one = len(users) == 1
    return f"it goes once {told}{more} {'is' if one else 'are'} finished or deleted"
