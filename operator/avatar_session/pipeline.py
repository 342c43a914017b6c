"""One session from prompt to published video: llm -> speech -> render -> publish, overlapping."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from avatar_core.errors import AvatarError, DeadlineError, InvalidInputError, Reason
from avatar_session.attempts import Attempts
from avatar_session.job import SessionJob
from avatar_session.kept import Kept
from avatar_session.progress import Progress
from avatar_session.publish import committed
from avatar_session.receipt import Receipt
from avatar_session.retry import Deadline
from avatar_session.sound_source import check_sound
from avatar_session.surroundings import Surroundings
from avatar_session.text.sentences import split_sentences
from avatar_session.text.speakable import speakable

TIDY_SECONDS = 5.0


async def run_session(job: SessionJob, around: Surroundings) -> Receipt:
    """Makes the video of a job, or finds that it was made.

    Raises:
        AvatarError: typed; a DeadlineError names stage and percent. Nothing is published then; the complete
            reply and speech are kept for the next attempt.
    """
    progress = Progress(job.stages, around.on_event)
    deadline = Deadline.after(job.spec.timeout_seconds)
    beating = asyncio.create_task(progress.beat())
    try:
        async with asyncio.timeout_at(deadline.at) as limit:
            if (receipt := await committed(job.folder, around.store)) is not None:
                return receipt
            _check_input(job)
            receipt = await Attempts(job, around, progress, deadline).run()
    except TimeoutError:
        if not limit.expired():
            raise
        at = progress.current
        raise DeadlineError(at.stage, at.percent, deadline.seconds) from None
    finally:
        beating.cancel()
    with suppress(AvatarError, TimeoutError):  # the video is published; what is left over is no failure
        async with asyncio.timeout(TIDY_SECONDS):
            await Kept(around.store, job.folder).discard()
    return receipt


def _check_input(job: SessionJob) -> None:
    """Refuses at once what could only fail later."""
    text = job.spec.text
    if text is not None and not any(map(speakable, split_sentences(text))):
        message = "holds nothing that can be spoken"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="spec.text")
    if job.spec.audio is not None:
        check_sound(job.spec.audio)
