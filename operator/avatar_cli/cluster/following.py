"""A session followed on a display until a moment comes, or its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from avatar_cli.board import Board
from avatar_cli.cluster.session import Session
from avatar_cli.cluster.sessions import Sessions
from avatar_cli.cluster.story import Story


async def follow_to_the_end(
    sessions: Sessions, first: Session, board: Board, on_state: Callable[[Session], None] = lambda _: None
) -> Session:
    """Shows each state of a session; returns the last, which is over.

    Args:
        first: as it was read.
        on_state: told of each state, too.

    Raises:
        AvatarError: it was deleted, or the cluster does not answer any more.
    """
    story, session = Story(board), first
    async with aclosing(sessions.follow(first, board.waiting)) as states:
        async for session in states:
            story.tell(session)
            on_state(session)
            if session.over:
                break
    return session
