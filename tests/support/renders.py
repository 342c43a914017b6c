"""Collects what a render yields."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from avatar_inference.client import (
    Accepted,
    Flush,
    InferenceClient,
    Progress,
    Queued,
    RenderConfig,
    Result,
    Video,
)


@dataclass
class Rendered:
    """Everything one render yielded, in order."""

    queued: list[Queued] = field(default_factory=list)
    accepted: Accepted | None = None
    progress: list[Progress] = field(default_factory=list)
    video: list[Video] = field(default_factory=list)
    result: Result | None = None

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.video)

    @property
    def fragments(self) -> bytes:
        """Everything but the init segment, which names the render."""
        return b"".join(piece.data for piece in self.video if piece.kind != "init")

    @property
    def seconds(self) -> float:
        return sum(piece.duration for piece in self.video if piece.kind in {"fragment", "video"})


async def collect(
    client: InferenceClient,
    config: RenderConfig,
    audio: AsyncIterable[bytes | Flush],
    into: Rendered | None = None,
) -> Rendered:
    """Runs a render to its end; `into` can be watched meanwhile."""
    rendered = into or Rendered()
    async for event in client.render(config, audio):
        match event:
            case Queued():
                rendered.queued.append(event)
            case Accepted():
                rendered.accepted = event
            case Progress():
                rendered.progress.append(event)
            case Video():
                rendered.video.append(event)
            case Result():
                rendered.result = event
    return rendered
