"""A WAV goes in, an MP4 comes out: the whole of the Python client.

avatar serve &
python examples/client.py examples/welcome.wav welcome.mp4
"""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

from avatar_inference.client import InferenceClient, Progress, RenderConfig, Video


async def main(source: str, target: str, server: str = "127.0.0.1:50051") -> None:
    """Draws a face saying what the WAV file says; 16-bit PCM, 8 to 48 kHz."""
    with wave.open(source) as sound, Path(target).open("wb") as video:
        config = RenderConfig(sample_rate=sound.getframerate(), channels=sound.getnchannels())

        async def pieces() -> AsyncIterator[bytes]:
            while piece := sound.readframes(8192):
                yield piece

        async with InferenceClient(server) as client:
            async for event in client.render(config, pieces()):
                if isinstance(event, Video):
                    video.write(event.data)
                elif isinstance(event, Progress):
                    print(f"{event.done} frames of {event.total or '?'}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
