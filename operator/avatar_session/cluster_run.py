"""One attempt of a session in its pod: the document becomes a video, and the operator is told."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from avatar_core.addresses import AddressRules
from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_core.fetching import Fetching
from avatar_core.limits import FETCH_SECONDS
from avatar_core.tracing import Facts, NoSpans, Spans, spans_of
from avatar_inference.replicas import Replicas
from avatar_session.assignment import read_assignment
from avatar_session.gateway_store import GatewayStore
from avatar_session.job import SessionJob
from avatar_session.pipeline import TIDY_SECONDS, run_session
from avatar_session.pod import PodFiles, configure_pod_logs, failure, leave
from avatar_session.progress import StageEvent
from avatar_session.receipt import Receipt
from avatar_session.reporting import RESULT_SECONDS, Reports, last_words
from avatar_session.stage_spans import StageSpans
from avatar_session.surroundings import Surroundings
from avatar_session.watching import Watching

log = logging.getLogger(__name__)

KEY_VARIABLES = ("AVATAR_LLM_API_KEY", "AVATAR_SPEECH_API_KEY")
LAST_SECONDS = 3.0
"""For the result of a pod that was told to end; a kubelet kills it after 5."""

SPANS_SECONDS = 1.0
"""For spans that were not sent yet."""
WATCHING_TRIES, WATCHING_SECONDS = 2, 1.0
"""Of each upload of what may be watched meanwhile; and for the last of them."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Whom a session's pod talks to."""

    operator: str
    gateway: str
    inference: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Addresses:
        """As the pod's environment says.

        Raises:
            InvalidInputError: it does not say.
        """
        names = "AVATAR_OPERATOR_URL", "AVATAR_GATEWAY_URL", "AVATAR_INFERENCE_ADDRESS"
        for name in names:
            if not environment.get(name):
                raise InvalidInputError(Reason.INVALID_ARGUMENT, f"the variable {name} is not set")
        return cls(*(environment[name] for name in names))


async def make_video(files: PodFiles, environment: Mapping[str, str], log_level: str) -> NoReturn:
    """Does what the pod is for, leaves its termination message and ends the process."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    keys = {name: environment[name] for name in KEY_VARIABLES if name in environment}
    spans: Spans = NoSpans()
    try:
        (job, rules), addresses = read_assignment(files.read()), Addresses.of(environment)
        configure_pod_logs(log_level, keys.values(), session=f"{job.namespace}/{job.name}")
        log.info("attempt %d begins", job.attempt, extra={"trace": job.trace})
        spans = spans_of(environment, "avatar-session", job.trace)
        receipt = await _Attempt(job, rules, files, addresses, keys, stop, spans).run()
        log.info("%s is there", receipt.video.key)
        code = 0
    except BaseException as error:
        words, code = failure(error)
        log.error("%s: %s", words["reason"], words["message"])
        files.say(words)
    await asyncio.to_thread(spans.close, SPANS_SECONDS)
    # Here and not after the loop's end, which would wait for threads that nobody needs any more.
    leave(code)


class _Attempt:
    """An attempt and whom it tells."""

    def __init__(
        self,
        job: SessionJob,
        rules: AddressRules,
        files: PodFiles,
        addresses: Addresses,
        keys: Mapping[str, str],
        stop: asyncio.Event,
        spans: Spans,
    ) -> None:
        self._stages = StageSpans(spans, _facts(job))
        self._job, self._files, self._stop = job, files, stop
        self._reports = Reports(addresses.operator, lambda: files.token("operator"))
        self._committed: Receipt | None = None
        self._commits = asyncio.Event()
        watched = GatewayStore(addresses.gateway, lambda: files.token("gateway"), WATCHING_TRIES)
        self._watching = Watching(watched, job.folder)
        self._around = Surroundings(
            store=GatewayStore(
                addresses.gateway,
                lambda: files.token("gateway"),
                traceparent=lambda: self._stages.traceparent("publish"),
            ),
            connect=Replicas(
                addresses.inference,
                token=lambda: files.token("inference"),
                traceparent=lambda: self._stages.traceparent("render"),
            ).connect,
            on_event=self._hear,
            on_video=self._watching.see,
            environment=keys,
            fetching=Fetching(rules=rules, seconds=FETCH_SECONDS),
            on_commit=self._commit,
        )

    async def run(self) -> Receipt:
        """The receipt; the operator was told, or could not be.

        Raises:
            AvatarError: there is no video; CANCELLED when the pod was told to end before there was.
        """
        try:
            receipt = await self._run()
        except BaseException as error:
            self._stages.end({}, str(error.reason if isinstance(error, AvatarError) else Reason.INTERNAL))
            raise
        self._stages.end(_results(receipt))
        return receipt

    async def _run(self) -> Receipt:
        stopped = asyncio.create_task(self._stop.wait())
        news = asyncio.create_task(self._reports.tell_news())
        work = asyncio.create_task(run_session(self._job, self._around))
        committed = asyncio.create_task(self._commits.wait())
        await asyncio.wait([work, committed, stopped], return_when=asyncio.FIRST_COMPLETED)
        receipt = await self._receipt(work)
        self._files.say(last_words(receipt))  # so that it is there, whatever ends this process
        news.cancel()
        await asyncio.wait([news])  # whatever became of it
        await self._tell(receipt, stopped)
        await asyncio.wait([work, stopped], timeout=TIDY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if work.done() and (failed := work.exception()) is not None:
            log.warning("the video is there, what came after failed", exc_info=failed)
        await self._watching.finish(WATCHING_SECONDS)
        return receipt

    async def _receipt(self, work: asyncio.Task[Receipt]) -> Receipt:
        """What there is as soon as nothing is left to do that matters, or nothing more may be done."""
        if self._committed is not None:
            return self._committed
        if work.done():
            self._watching.end()
            if work.exception() is not None:
                await self._watching.finish(WATCHING_SECONDS)
            return work.result()
        raise AvatarError(Reason.CANCELLED, "the pod was told to end")

    async def _tell(self, receipt: Receipt, stopped: asyncio.Task[bool]) -> None:
        """Beside the tidying, which nobody waits for."""
        telling = asyncio.create_task(self._reports.tell_result(receipt))
        await asyncio.wait([telling, stopped], timeout=RESULT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            await asyncio.wait([telling], timeout=LAST_SECONDS)

    def _hear(self, event: StageEvent) -> None:
        self._reports.see(event)
        self._watching.hear(event)
        self._stages.hear(event)

    def _commit(self, receipt: Receipt) -> None:
        self._committed = receipt
        self._watching.end()
        self._commits.set()


def _facts(job: SessionJob) -> Facts:
    """By which an attempt's trace is found."""
    return {
        "avatar.session": f"{job.namespace}/{job.name}",
        "avatar.session.uid": job.uid,
        "avatar.attempt": job.attempt,
    }


def _results(receipt: Receipt) -> Facts:
    return {
        "avatar.engine": receipt.engine,
        "avatar.render": receipt.render_id,
        "avatar.frames": receipt.video.frames,
        "avatar.seconds": receipt.video.seconds,
        "avatar.bytes": receipt.video.bytes,
    }
