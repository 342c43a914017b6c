"""A session's states as news for the same bars that `avatar run` shows."""

from __future__ import annotations

from avatar_cli.board import Board
from avatar_cli.cluster.session import SUCCEEDED, Session, reason_of, said
from avatar_core.errors import REASONS
from avatar_core.resources import SessionStatus

UNITS = {"llm": "tokens", "speech": "seconds", "render": "frames", "publish": "bytes"}
_RUNNING = "Running"


def waits_for(session: Session) -> str:
    """What a session that is not over waits for, and what to do; empty while it gets on."""
    status, condition = session.status, session.condition(SUCCEEDED)
    if condition is None:
        return "waiting for the operator to take it up"
    if condition.reason == _RUNNING:
        return (status.progress.note if status.progress else "") or ("" if status.stage else "starting")
    if status.queue_position:
        return f"in line, at position {status.queue_position}"
    reason = reason_of(condition)
    if reason is None:
        return said(condition) or condition.reason
    return f"{reason}: {said(condition)} ({REASONS[reason].advice})"


class Story:
    """Tells a board what each state of one session adds.

    Args:
        board: shows it.
    """

    def __init__(self, board: Board) -> None:
        self._board, self._attempt = board, 0
        self._shown: list[str] = []

    def tell(self, session: Session) -> None:
        """News of a state; states come in their order."""
        status = session.status
        if session.outcome:
            self._finish(_ends(status))
            return
        if (status.attempt or 0) != self._attempt:
            self._begin_anew(status.attempt or 0)
        if status.stage and status.progress and session.outcome is None:
            self._stage(status)
        if not session.over and (note := waits_for(session)):
            self._board.waiting(note)

    def _stage(self, status: SessionStatus) -> None:
        stage, progress = str(status.stage), status.progress
        assert progress is not None
        # Stages overlap; but all frames are known only when all has been said, and publishing comes last.
        if stage == "publish" or (stage == "render" and progress.total):
            self._finish({before: None for before in self._shown if _order(before) < _order(stage)})
        self._update(
            stage, progress.done, progress.total, guess=progress.percent, finished=progress.percent >= 100
        )

    def _begin_anew(self, attempt: int) -> None:
        self._attempt = attempt
        for stage in self._shown:
            self._board.update(stage, UNITS[stage], 0)

    def _finish(self, ends: dict[str, float | None]) -> None:
        """Ends stages, with how much it was where that is known."""
        for stage, amount in ends.items():
            self._update(stage, amount or 0, amount, finished=True)

    def _update(
        self, stage: str, done: float, total: float | None, *, guess: int = 0, finished: bool = False
    ) -> None:
        if stage not in self._shown:
            self._shown.append(stage)
        self._board.update(stage, UNITS[stage], done, total, guess=guess, finished=finished)


def _ends(status: SessionStatus) -> dict[str, float | None]:
    """How much each stage of a session that succeeded made."""
    usage, video = status.usage, status.video
    amounts: dict[str, float | None] = {
        "llm": usage.completion_tokens if usage else None,
        "speech": usage.speech_seconds if usage else None,
        "render": video.frames if video else None,
        "publish": video.bytes if video else None,
    }
    took = status.timings
    return {stage: amount for stage, amount in amounts.items() if took is not None and getattr(took, stage)}


def _order(stage: str) -> int:
    return list(UNITS).index(stage)
