"""Sessions for tests: jobs in one line, what a run told, and what it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avatar_core.resources import ProviderSpec, SessionSpec
from avatar_core.store import ObjectStore
from avatar_inference.client import InferenceClient, Video
from avatar_session.job import SessionJob
from avatar_session.pipeline import run_session
from avatar_session.progress import StageEvent
from avatar_session.receipt import Receipt
from avatar_session.render import Connect
from avatar_session.surroundings import Surroundings

FOLDER = "default/uid-1"
REPLY = "Hello there, my friend. This is the second sentence. And that was all of it."


def job(llm_url: str | None = None, tts_url: str | None = None, **spec: Any) -> SessionJob:
    """A session; `llm_url` and `tts_url` are base URLs, without `tts_url` it is espeak."""
    provider: dict[str, Any] = {}
    if llm_url:
        provider["llm"] = {"baseURL": llm_url, "model": "fake"}
    if tts_url:
        provider["speech"] = {"type": "openai", "baseURL": tts_url}
    voice = {} if tts_url else {"speech": {"voice": "en-us"}}
    written = SessionSpec.model_validate(voice | spec, by_alias=True)
    return SessionJob(
        "hello", "default", "uid-1", written, ProviderSpec.model_validate(provider, by_alias=True)
    )


@dataclass
class Run:
    """Runs sessions and remembers what they told."""

    store: ObjectStore
    connect: Connect
    environment: dict[str, str] = field(default_factory=dict)
    events: list[StageEvent] = field(default_factory=list)
    video: list[Video] = field(default_factory=list)

    @classmethod
    def at(cls, store: ObjectStore, target: str) -> Run:
        """With the inference server at `target`."""
        return cls(store, lambda: InferenceClient(target))

    async def __call__(self, wanted: SessionJob) -> Receipt:
        around = Surroundings(
            self.store, self.connect, self.events.append, self.video.append, self.environment
        )
        return await run_session(wanted, around)

    async def stored(self) -> set[str]:
        """Names in the session's folder of the store."""
        return {entry.key.removeprefix(f"{FOLDER}/") async for entry in self.store.list()}

    def first(self, stage: str, *, finished: bool = False) -> int:
        """Position of the first event of a stage."""
        return next(
            i for i, event in enumerate(self.events) if event.stage == stage and event.finished >= finished
        )
