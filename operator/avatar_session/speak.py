"""The second stage: sentences become speech in the spool; or a sound file takes their place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

from avatar_core.errors import InvalidInputError, ProviderError, Reason
from avatar_core.media.decode import read_sound
from avatar_session.progress import Progress
from avatar_session.retry import Deadline, RetryPolicy, retried
from avatar_session.sound_source import AUDIO_FIELD
from avatar_session.speech.voice import Sound, Voice, audible
from avatar_session.spool import Spool
from avatar_session.text.speakable import speakable


async def speak(
    voice: Voice,
    sentences: AsyncGenerator[str, None],
    spool: Spool,
    characters: Callable[[], int],
    progress: Progress,
    deadline: Deadline,
    policy: RetryPolicy,
) -> None:
    """Speaks every sentence that has something to say, in order, and finishes the spool.

    Args:
        voice: open.
        sentences: as written.
        spool: empty.
        characters: about how many there are in all; for the percent.
        progress, deadline, policy: of the session.

    Raises:
        AvatarError: as `audible`; LLM_EMPTY_REPLY when no sentence had anything to say.
        AttemptLostError: a sentence broke off after its first sound.
    """
    progress.begin("speech")
    spoken = 0
    async for sentence in sentences:
        said = speakable(sentence)
        if not said:
            continue
        spoken += len(sentence)
        sounds = retried(
            partial(audible, voice, said),
            policy,
            deadline,
            lambda error, pause: progress.wait("speech", f"{error}; trying again in {pause:.1f} s"),
        )
        async with aclosing(sounds):
            async for sound in sounds:
                spool.write(sound)
                progress.update("speech", spool.seconds, expected=spool.seconds * characters() / spoken)
        spool.end_sentence(said)
    if not spool.sentences:
        raise ProviderError(Reason.LLM_EMPTY_REPLY, "the reply holds nothing that can be spoken")
    spool.finish()
    progress.update("speech", spool.seconds, total=spool.seconds)
    progress.finish("speech")


async def pour_audio(file: Path, spool: Spool) -> None:
    """Copies a sound file into the spool.

    Args:
        file: with a sound track.
        spool: empty.

    Raises:
        InvalidInputError: as `read_sound`.
    """
    try:
        sound = await asyncio.to_thread(read_sound, file)
        while (block := await asyncio.to_thread(next, sound.blocks, None)) is not None:
            spool.write(Sound(sound.rate, sound.channels, block.astype("<i2", copy=False).tobytes()))
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, error.message, field=AUDIO_FIELD) from None
    spool.finish()
