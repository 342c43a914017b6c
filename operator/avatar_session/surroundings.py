"""What a session meets outside of itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from avatar_core.fetching import Fetching
from avatar_core.limits import FETCH_SECONDS
from avatar_core.store import Store
from avatar_session.progress import OnEvent
from avatar_session.receipt import Receipt
from avatar_session.render import Connect, OnVideo


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session meets outside of itself.

    Attributes:
        store: where everything goes.
        connect: opens a connection to an inference server.
        on_event: told how far it is, in the event loop; must not block.
        on_video: offered the fragments as they come; must not block.
        environment: where provider keys are.
        now: the time of day, with a time zone.
        fetching: how a sound at an https:// address is fetched.
        on_commit: told the receipt as soon as the video counts, before what was kept is removed.
    """

    store: Store
    connect: Connect
    on_event: OnEvent = lambda event: None
    on_video: OnVideo = lambda video: None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fetching: Fetching = field(default_factory=lambda: Fetching(seconds=FETCH_SECONDS))
    on_commit: Callable[[Receipt], None] = lambda receipt: None
