"""One address, several servers: which of them is asked to draw, and where to go when it can't.

replicas = Replicas("dns:///avatar-inference.avatars.svc:50051")
async with replicas.connect() as client:
    ...
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from avatar_core.errors import InferenceError, InvalidInputError, Reason
from avatar_inference.client import InferenceClient

FEW = 4
"""So many are all asked. Of more, two at random: the better of two is nearly as good as the best of all, and
many who choose at once do not all go to the same one."""
ASK_SECONDS = 3.0
AVOIDED_SECONDS = 30.0
"""Others come first for so long after a server failed or was full."""
ELSEWHERE = (Reason.OVERLOADED, Reason.INFERENCE_UNAVAILABLE)
"""What another server may not say."""
_DNS = "dns:///"


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a server says it is: renders drawn, renders in line, and how many it draws at once."""

    active: int
    waiting: int
    most: int
    draining: bool = False


_LOST = Load(0, 0, 0, draining=True)


def batches(
    targets: Sequence[str], avoided: Collection[str], shuffled: random.Random
) -> list[tuple[str, ...]]:
    """Whom to ask beside each other, and whom after them if none of those will do; each target once."""
    found: list[tuple[str, ...]] = []
    for group in ([t for t in targets if t not in avoided], [t for t in targets if t in avoided]):
        shuffled.shuffle(group)
        size = len(group) if len(group) <= FEW else 2
        found += [tuple(group[at : at + size]) for at in range(0, len(group), size or 1)]
    return found


def least_loaded(loads: Mapping[str, Load]) -> str | None:
    """The target that is to draw, the first of equals; None where all are draining."""
    ready = {target: load for target, load in loads.items() if not load.draining}
    return min(ready, key=lambda target: _busy(ready[target]), default=None)


def _busy(load: Load) -> tuple[bool, float]:
    # Large renders form a line before all places are taken: who waits counts more than how many draw.
    return load.waiting > 0, (load.active + load.waiting) / max(1, load.most)


class Replicas:
    """Connections to the least busy of the servers behind an address.

    Args:
        address: HOST:PORT or unix:PATH; dns:///HOST:PORT stands for all addresses of that name; several are
            parted by commas.
        root_certificates, token, traceparent: as for `InferenceClient`.
    """

    def __init__(
        self,
        address: str,
        *,
        root_certificates: bytes | None = None,
        token: Callable[[], str] = lambda: "",
        traceparent: Callable[[], str] = lambda: "",
    ) -> None:
        self._address, self._roots, self._token = address, root_certificates, token
        self._traceparent = traceparent
        self._avoided: dict[str, float] = {}  # until when, by time.monotonic()
        self._random = random.Random()  # noqa: S311 - chance, no secret

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[InferenceClient]:
        """A connection to one server. If it fails within, the next one goes to another server.

        Raises:
            InferenceError: none answers, or all are draining; and what the block raises, without a time to
                come back where other servers are left to be asked at once.
        """
        names = await resolve(self._address)
        target = await self._chosen(names)
        try:
            async with self._client(target, names[target]) as client:
                yield client
        except InferenceError as error:
            if error.reason not in ELSEWHERE:
                raise
            self._avoided[target] = time.monotonic() + AVOIDED_SECONDS
            if self._avoided_now() >= set(names):
                raise
            raise InferenceError(error.reason, error.message) from None

    def _client(self, target: str, name: str) -> InferenceClient:
        return InferenceClient(
            target,
            root_certificates=self._roots,
            token=self._token,
            traceparent=self._traceparent,
            server_name=name,
        )

    def _avoided_now(self) -> set[str]:
        now = time.monotonic()
        return {target for target, until in self._avoided.items() if now < until}

    async def _chosen(self, names: Mapping[str, str]) -> str:
        if len(names) == 1:
            return next(iter(names))
        silent: list[str] = []
        for batch in batches(list(names), self._avoided_now(), self._random):
            asked = await asyncio.gather(*(self._load(target, names[target]) for target in batch))
            loads = {target: load for target, load in zip(batch, asked, strict=True) if load}
            if (target := least_loaded(loads)) is not None:
                return target
            silent += [target for target in batch if target not in loads]
        if silent:  # so busy that they do not even answer, but perhaps they draw
            return silent[0]
        message = f"none of {len(names)} inference servers at {self._address} takes a render now"
        raise InferenceError(Reason.INFERENCE_UNAVAILABLE, message)

    async def _load(self, target: str, name: str) -> Load | None:
        """How busy it is; None if it does not say so in time.

        Raises:
            AvatarError: it refuses us, as the others will.
        """
        try:
            async with self._client(target, name) as client:
                info = await client.info(timeout=ASK_SECONDS)
        except InferenceError as error:
            if error.reason is Reason.DEADLINE_EXCEEDED:
                return None
            if error.reason not in ELSEWHERE:
                raise
            return _LOST
        return Load(info.active_renders, info.queued_renders, info.max_renders, info.draining)


async def resolve(address: str) -> dict[str, str]:
    """What an address stands for: each target with the server's name where that is not in it, else "".

    Raises:
        InvalidInputError: it is none.
        InferenceError: a name has no address now.
    """
    found: dict[str, str] = {}
    for part in address.split(","):
        if not part.strip().startswith(_DNS):
            found[part.strip()] = ""
            continue
        host, _, port = part.strip().removeprefix(_DNS).rpartition(":")
        if not host or not port.isdecimal():
            message = f"{part.strip()!r} must be dns:///HOST:PORT"
            raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="inferenceAddress")
        found |= dict.fromkeys(await _addresses(host.strip("[]"), int(port)), host)
    if "" in found:
        message = f"{address!r} must be addresses parted by commas"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="inferenceAddress")
    return found


async def _addresses(host: str, port: int) -> list[str]:
    try:
        loop = asyncio.get_running_loop()
        answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"inference server {host} has no address now: {error.strerror or error}"
        raise InferenceError(Reason.INFERENCE_UNAVAILABLE, message) from None
    addresses = (str(where[0]) for *_, where in answers)
    return [f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses]
