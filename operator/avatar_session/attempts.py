"""The attempts of one session at its video: stages side by side, begun anew when handed-on work is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from avatar_core.store import Stored
from avatar_session.job import SessionJob
from avatar_session.kept import Kept
from avatar_session.llm import BYTES_PER_TOKEN, ChatLLM
from avatar_session.progress import Progress
from avatar_session.providers import make_llm, make_voice
from avatar_session.publish import commit, upload_video
from avatar_session.receipt import Receipt, Usage, VideoFile
from avatar_session.render import Rendered, render
from avatar_session.reply import SENTENCES_AHEAD, Reply, SentenceQueue, all_of, drain, write_reply
from avatar_session.retry import AttemptLostError, Deadline, RetryPolicy
from avatar_session.sound_source import find_sound
from avatar_session.speak import pour_audio, speak
from avatar_session.speech.voice import Voice
from avatar_session.spool import Spool
from avatar_session.surroundings import Surroundings
from avatar_session.text.sentences import split_sentences

log = logging.getLogger(__name__)

PROVIDERS = RetryPolicy(tries=4)
RENDERS = RetryPolicy(tries=6)
ATTEMPTS = RetryPolicy(tries=3)
A = TypeVar("A")
B = TypeVar("B")


class Attempts:
    """The attempts of one session at its video."""

    def __init__(self, job: SessionJob, around: Surroundings, progress: Progress, deadline: Deadline) -> None:
        self._job, self._around, self._progress, self._deadline = job, around, progress, deadline
        self._kept = Kept(around.store, job.folder)
        self._started = around.now()
        self._characters = job.settings.max_tokens * BYTES_PER_TOKEN

    async def run(self) -> Receipt:
        """Attempts until one succeeds, none is left, or the failure is final."""
        for tried in count(1):
            self._progress.restart()
            try:
                with TemporaryDirectory(prefix="avatar-", ignore_cleanup_errors=True) as folder:
                    return await self._attempt(Path(folder))
            except AttemptLostError as lost:
                pause = ATTEMPTS.pause(tried, lost.error, self._deadline.remaining())
                if pause is None:
                    raise lost.error from None
                log.warning("attempt %d is lost (%s); a new one begins in %.1f s", tried, lost.error, pause)
                await asyncio.sleep(pause)
        raise AssertionError

    async def _attempt(self, folder: Path) -> Receipt:
        known = await self._known_reply()
        path, fragments = folder / "speech.pcm", folder / "fragments.mp4"
        spool = await self._kept.find_speech(path) if known else None
        spool = spool or Spool(path)
        try:
            reply, rendered = await _both(self._speech(known, spool, folder), self._render(spool, fragments))
        finally:
            spool.close()
        return await self._publish(reply, spool, rendered, fragments)

    async def _known_reply(self) -> Reply | None:
        """What is to be said, if that needs no LLM (any more)."""
        spec = self._job.spec
        if spec.prompt is None:
            return Reply(spec.text or "")
        return await self._kept.find_reply()

    async def _speech(self, reply: Reply | None, spool: Spool, folder: Path) -> Reply:
        """Fills the spool with what is to be said; keeps reply and speech once they are whole."""
        spec = self._job.spec
        if spec.audio is not None:
            sound = await find_sound(spec.audio, folder, self._around.fetching)
            await pour_audio(sound, spool)
            if sound.parent == folder:  # fetched; the spool beside it holds all of it now
                sound.unlink(missing_ok=True)
            return Reply("")
        if reply and spec.prompt is not None:
            self._progress.skip("llm")
        if reply and spool.finished:
            self._progress.skip("speech")
            return reply
        async with make_voice(self._job, self._around.environment) as voice:
            if reply:
                self._characters = len(reply.text)
                await self._speak(voice, all_of(split_sentences(reply.text)), spool)
            else:
                reply = await self._write_and_speak(voice, spool)
        await self._kept.keep_speech(spool)
        return reply

    async def _write_and_speak(self, voice: Voice, spool: Spool) -> Reply:
        queue: SentenceQueue = asyncio.Queue(SENTENCES_AHEAD)
        async with make_llm(self._job, self._around.environment) as llm:
            reply, _ = await _both(self._write(llm, queue), self._speak(voice, drain(queue), spool))
        return reply

    async def _write(self, llm: ChatLLM, queue: SentenceQueue) -> Reply:
        reply = await write_reply(llm, self._job, queue, self._progress, self._deadline, PROVIDERS)
        self._characters = len(reply.text)
        await self._kept.keep_reply(reply)
        return reply

    async def _speak(self, voice: Voice, sentences: AsyncGenerator[str, None], spool: Spool) -> None:
        def characters() -> int:
            return self._characters

        await speak(voice, sentences, spool, characters, self._progress, self._deadline, PROVIDERS)

    async def _render(self, spool: Spool, fragments: Path) -> Rendered:
        around, job = self._around, self._job
        return await render(
            around.connect, job, spool, fragments, self._progress, self._deadline, RENDERS, around.on_video
        )

    async def _publish(self, reply: Reply, spool: Spool, rendered: Rendered, fragments: Path) -> Receipt:
        job, store = self._job, self._around.store
        self._progress.begin("publish")
        stored = await upload_video(fragments, job.folder, {"title": job.name}, store, self._progress)
        receipt = self._receipt(reply, spool, rendered, stored)
        await commit(receipt, job.folder, store)
        self._around.on_commit(receipt)
        self._progress.finish("publish")
        return receipt

    def _receipt(self, reply: Reply, spool: Spool, rendered: Rendered, stored: Stored) -> Receipt:
        job, finished, accepted, result = self._job, self._around.now(), rendered.accepted, rendered.result
        return Receipt(
            name=job.name,
            namespace=job.namespace,
            uid=job.uid,
            attempt=job.attempt,
            reply=reply.text,
            reply_cut=reply.cut,
            video=VideoFile(
                key=stored.key,
                bytes=stored.size,
                sha256=stored.sha256,
                seconds=round(result.duration, 3),
                frames=result.frames,
                fps=str(accepted.fps),
                width=accepted.width,
                height=accepted.height,
                expires_at=finished + timedelta(seconds=job.spec.video_ttl_seconds),
            ),
            usage=Usage(
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                tokens_estimated=reply.estimated,
                characters=sum(len(sentence.text) for sentence in spool.sentences),
                speech_seconds=round(spool.seconds, 3),
                gpu_seconds=result.gpu_seconds,
            ),
            timings=self._progress.timings,
            first_frame_seconds=rendered.first_frame_seconds,
            total_seconds=self._progress.elapsed,
            engine=accepted.engine,
            avatar=accepted.avatar,
            render_id=accepted.render_id,
            notes=result.notes,
            started_at=self._started,
            finished_at=finished,
            audio_windows=result.audio_windows,
            weights=dict(result.weights),
        )


async def _both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Runs two stages at once. When one fails the other is cancelled, and the failure is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(one), group.create_task(other)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()
