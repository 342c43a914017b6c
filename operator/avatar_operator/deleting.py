"""A session that is being deleted: Job, pods, folder, finalizer, in this order."""

from __future__ import annotations

from dataclasses import replace

from avatar_operator.cleaning import clean, cleaned
from avatar_operator.observed import Observed
from avatar_operator.plan import Plan, clearing, seat


def leaving(seen: Observed, now: float) -> Plan:
    """What is still to be done before the session may vanish.

    In a namespace that is being deleted nothing is waited for: no clean-up may hold it up, and the sweeper
    finds what is left in the store.
    """
    status = seen.session.status
    if not seen.session.kept:
        return Plan(None, seat(seen))
    if seen.namespace_terminating:
        return Plan(None, seat(seen), drop_finalizer=True)
    if (plan := clearing(seen, None, now)) is not None:
        return plan
    if cleaned(seen, status):
        return Plan(None, drop_finalizer=True)
    plan = clean(seen, status, now)
    return replace(plan, status=plan.status if plan.status != status else None)
