from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from avatar_inference.client import InferenceClient
from avatar_inference.server import Running, ServerSettings, serve


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """A server of the preview engine on a free loopback port."""
    async with serve(ServerSettings(port=0, metrics_port=0, bundle_store=tmp_path / "bundles")) as running:
        yield running


@pytest_asyncio.fixture
async def client(server: Running) -> AsyncIterator[InferenceClient]:
    async with InferenceClient(server.target) as connected:
        yield connected
