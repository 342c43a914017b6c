"""Writes reasons.md: every reason, who acts, and what to do, from the one table of them.

From the root of the project: .venv/bin/python docs/make_reasons.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from avatar_core.errors import CLUSTER_AGAIN, CLUSTER_FINAL, REASONS, Actor, Reason

PAGE = Path(__file__).with_name("reasons.md")
WHO = {Actor.USER: "you", Actor.ADMIN: "an administrator", Actor.NOBODY: "nobody"}
CLUSTER_ONLY = (CLUSTER_FINAL, CLUSTER_AGAIN)
HEAD = """\
<!-- Generated from avatar_core.errors by `make reasons`; changes here are lost. -->
# Reasons

Whatever goes wrong has one of these names: in a session's condition `Succeeded`, in the condition `Ready` of
an Avatar or AvatarProvider, in the Event beside either, in a gRPC error's ErrorInfo (domain `avatars.dev`),
and beside the exit code of a command. `avatar_sessions_finished_total{reason}` counts sessions that ended by
it, `avatar_sessions{phase,reason}` those that wait now. The condition's message tells the details and ends
with the advice below.

`kubectl get avs -o wide` shows the reason; `kubectl describe avs NAME` everything.
"""
PROCESSES = """
## What a command, a server or a session's pod says

A command ends with the exit code. A session's pod that ends with 40 to 69 is followed by up to two more,
and so is one that was killed (130); after any other of these codes the session fails at once. Where a code
stands for several reasons and the pod left no message, the reason is `PodFailed`.
"""
CLUSTER = """
## What only a cluster says

While a session waits, `Succeeded` is `Unknown` with one of these, or with `AvatarNotFound` or
`ProviderNotFound`. What keeps it from starting ends it after `startTimeoutSeconds`; `Suspended`, `Queued`
and `WaitingForCapacity` may last. Other pods follow `PodDisrupted` and `NodeLost`; `OOMKilled` and
`ResultLost` end the session the second time, `PodFailed` the third. `VideoExpired` and `CleanupFailed` are
reasons of the condition `VideoAvailable`, and counted by `avatar_session_videos_total{reason}`.
"""


def page() -> str:
    """The text of the page, the same on every run."""
    processes = [reason for reason in Reason if REASONS[reason].exit_code not in CLUSTER_ONLY]
    cluster = [reason for reason in Reason if REASONS[reason].exit_code in CLUSTER_ONLY]
    told = ("Reason", "Who acts", "What to do", "Exit code", "gRPC", "Same again may help")
    seen = ("Reason", "Who acts", "What to do", "Same again may help")
    return "\n".join(
        [
            HEAD,
            *_parts(PROCESSES, told, map(_process, processes)),
            *_parts(CLUSTER, seen, map(_row, cluster)),
            "",
        ]
    )


def _parts(head: str, columns: tuple[str, ...], rows: Iterable[str]) -> Iterator[str]:
    yield head.strip()
    yield ""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from rows
    yield ""


def _process(reason: Reason) -> str:
    info = REASONS[reason]
    return _cells(f"`{reason}`", WHO[info.actor], info.advice, str(info.exit_code), info.grpc, _again(reason))


def _row(reason: Reason) -> str:
    info = REASONS[reason]
    return _cells(f"`{reason}`", WHO[info.actor], info.advice, _again(reason))


def _again(reason: Reason) -> str:
    return "yes" if REASONS[reason].retry else "no"


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
