"""What a session's own process ends by: each reason told, and each exit code whose message was lost.

The pods are played: only their kubelet's words matter to the operator. Any reason may be said, so these
show how it is told; where it is really caused says `origins.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cluster.operator.causes.stage import Cause, Scene
from tests.cluster.pod_states import RUNNING, ended

from avatar_core.errors import REASONS, Reason

WHY = "the pod says exactly why"
_CLUSTER_ONLY = (39, 69)


def _retries(code: int) -> bool:
    """Other pods follow on these: all that are worth another attempt, and what a killed process says."""
    return 40 <= code < 69 or code in (*_CLUSTER_ONLY, 130) or code not in _KNOWN


_KNOWN = {info.exit_code for info in REASONS.values()}
TOLD = [reason for reason, info in REASONS.items() if info.exit_code not in _CLUSTER_ONLY]
CODES = sorted(_KNOWN | {1, 3, 71, 137, 143, 255})


def _ends_by(code: int, message: str = "") -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.pods(RUNNING, ended(code, message))
        scene.apply()

    return act


def _told(reason: Reason) -> Cause:
    code = REASONS[reason].exit_code
    again = _retries(code)
    # A process that was told to end says Cancelled, although nobody cancelled the session.
    seen = Reason.POD_FAILED if reason is Reason.CANCELLED else reason
    return Cause(
        seen,
        _ends_by(code, json.dumps({"reason": reason, "message": WHY})),
        f"says-{reason.lower()}",
        ("Unknown", "False") if again else ("False",),
        words="was killed" if reason is Reason.CANCELLED else WHY,
        slow=again,
    )


def _untold(code: int) -> Cause:
    """A code that one reason has tells that reason; any other one tells that the pod failed, and how."""
    possible = [reason for reason in TOLD if REASONS[reason].exit_code == code]
    sure = len(possible) == 1 and code != 130
    again = _retries(code)
    return Cause(
        possible[0] if sure else Reason.POD_FAILED,
        _ends_by(code),
        f"code-{code}",
        ("Unknown", "False") if again else ("False",),
        words=f"exit code {code}" if sure or len(possible) < 2 else f"exit code {code}, one of {possible[0]}",
        slow=again,
    )


CAUSES = [*map(_told, TOLD), *map(_untold, CODES)]
