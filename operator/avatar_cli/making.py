"""Makes the requested videos, one after the other, and puts each where it belongs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from avatar_cli.board import Board
from avatar_cli.display import Display
from avatar_cli.engine_flags import EngineFlags
from avatar_cli.own_server import server_at
from avatar_cli.places import place_for
from avatar_cli.receipts import Made
from avatar_cli.request import Request, output_of
from avatar_core.errors import InvalidInputError, Reason
from avatar_inference.client import InferenceClient
from avatar_inference.replicas import Replicas
from avatar_session.job import SessionJob
from avatar_session.llm import Turn
from avatar_session.pipeline import run_session
from avatar_session.progress import StageEvent
from avatar_session.surroundings import Surroundings

History = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where videos are drawn and where they go.

    Attributes:
        server: HOST:PORT of an inference server, None for one of its own.
        engine: what a server of its own draws with.
        server_ca: PEM of the authority of the server's certificate; with it the connection uses TLS.
        avatar: bundle id or built-in name that wins over the manifests'; None for theirs.
        store: URL of a store that keeps them; None keeps the files alone.
        output: the file of the only video; None names files after sessions, and with a store makes none.
    """

    server: str | None = None
    engine: EngineFlags = field(default_factory=EngineFlags)
    server_ca: Path | None = None
    avatar: str | None = None
    store: str | None = None
    output: Path | None = None


async def make_all(requests: list[Request], delivery: Delivery, display: Display) -> AsyncIterator[Made]:
    """Yields each video when it is where it belongs; the first failure ends the run.

    Raises:
        AvatarError: typed. Nothing is left of the video that failed.
    """
    histories: dict[str, History] = {}
    async with AsyncExitStack() as servers:
        server = _Server(delivery, servers)
        for request in requests:
            history = _history(request, histories)
            made = await _make(request, history, server, delivery, display)
            histories[request.session.metadata.name] = history + _turns(made)
            yield made


class _Server:
    """The server of a run, started when the first video wants it: by then the display tells what happens."""

    def __init__(self, delivery: Delivery, servers: AsyncExitStack) -> None:
        self._wanted, self._engine = delivery.server, delivery.engine
        self._servers = servers
        self._replicas: Replicas | None = None
        self._roots = delivery.server_ca.read_bytes() if delivery.server_ca else None

    async def ready(self, board: Board) -> None:
        """Returns once there is something to connect to."""
        if self._replicas is None:
            board.waiting("starting the inference server" if self._wanted is None else "")
            starting = server_at(self._wanted, self._engine)
            target = await self._servers.enter_async_context(starting)
            self._replicas = Replicas(target, root_certificates=self._roots)

    def connect(self) -> AbstractAsyncContextManager[InferenceClient]:
        """A new connection."""
        assert self._replicas is not None
        return self._replicas.connect()


async def _make(
    request: Request, history: History, server: _Server, delivery: Delivery, display: Display
) -> Made:
    session = request.session
    job = _job(request, history, delivery.avatar)
    file = delivery.output or (None if delivery.store else output_of(session))
    with place_for(file, delivery.store) as place:
        async with Board(display, session.metadata.name) as board:
            await server.ready(board)
            tell = partial(_show, board)
            receipt = await run_session(job, Surroundings(place.store, server.connect, on_event=tell))
        return Made(await place.deliver(receipt.video.key), session, receipt)


def _job(request: Request, history: History, avatar: str | None) -> SessionJob:
    session = request.session
    named = session.spec.avatar_ref.name if session.spec.avatar_ref else ""
    return SessionJob(
        name=session.metadata.name,
        namespace=session.metadata.namespace,
        uid=str(uuid.uuid4()),
        spec=session.spec,
        provider=request.provider,
        avatar=avatar or named,
        history=history,
    )


def _show(board: Board, event: StageEvent) -> None:
    board.update(
        event.stage,
        event.unit,
        event.done,
        event.total,
        guess=event.percent,
        finished=event.finished,
        note=event.note,
    )


def _history(request: Request, histories: dict[str, History]) -> History:
    """The turns of the session this one continues, which must have been made before it in the same run."""
    earlier = request.session.spec.continue_from
    if earlier is None:
        return ()
    if earlier.name not in histories:
        message = f"no session {earlier.name!r} was made before this one; put it before it in the same file"
        raise InvalidInputError(Reason.INVALID_SPEC, message, field="spec.continueFrom.name")
    return histories[earlier.name]


def _turns(made: Made) -> History:
    prompt, reply = made.session.spec.prompt, made.receipt.reply
    asked = (Turn("user", prompt),) if prompt else ()
    return (*asked, Turn("assistant", reply)) if reply else asked
