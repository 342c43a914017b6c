"""What `avatar doctor` looks at: one small function a part, each really using the part it judges."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOM_BYTES = 100_000_000
"""Below this a long video may not fit."""


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    OPTIONAL = "optional"
    """Missing, and only some things need it."""
    MISSING = "missing"
    """Missing, and nothing works without it."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about one part.

    Attributes:
        name: of the part.
        state: how it is.
        detail: what was found.
        mend: the command that mends it; empty when there is nothing to mend.
    """

    name: str
    state: State
    detail: str
    mend: str = ""


def install(extra: str) -> str:
    """The command that installs an extra of this project into the environment that runs now."""
    python = shlex.quote(sys.executable)
    # An environment made by uv has no pip of its own.
    installer = f"uv pip install --python {python}" if shutil.which("uv") else f"{python} -m pip install"
    return f"{installer} 'avatar-operator[{extra}]'"


def check_python() -> Check:
    """The interpreter is one of those the pins were made for."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info < (3, 14):
        return Check("Python", State.OK, version)
    return Check("Python", State.MISSING, f"{version}; 3.11 to 3.13 is needed", "make clean demo")


def check_media() -> Check:
    """Encoders for the video's two tracks."""
    try:
        import av
    except ImportError as error:
        return Check("video", State.MISSING, f"PyAV does not load: {error}", install("demo"))
    lacking = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if lacking:
        return Check("video", State.MISSING, f"PyAV lacks {' and '.join(lacking)}", install("demo"))
    return Check("video", State.OK, f"PyAV {av.__version__} with libx264 and aac")


def check_server() -> Check:
    """A server of one's own starts on a loopback port and answers."""
    import asyncio

    from avatar_cli.engine_flags import EngineFlags
    from avatar_cli.own_server import server_at
    from avatar_core.errors import AvatarError

    async def ask() -> str:
        from avatar_inference.client import InferenceClient

        async with server_at(None, EngineFlags()) as target, InferenceClient(target) as client:
            info = await client.info(timeout=10)
            return f"engine {info.engine} with {', '.join(info.builtin_avatars)} on {target}"

    try:
        return Check("inference server", State.OK, asyncio.run(ask()))
    except (AvatarError, ImportError) as error:
        return Check("inference server", State.MISSING, str(error), install("demo"))


def check_store(folder: Path) -> Check:
    """Videos can be written, and there is room for some. Makes no folder."""
    folder = next(place for place in [folder.resolve(), *folder.resolve().parents] if place.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(
            "videos", State.MISSING, f"{folder}: {error.strerror}", "avatar run ... -o ELSEWHERE.mp4"
        )
    room = f"{free / 1e9:.1f} GB free in {folder}"
    if free < ROOM_BYTES:
        return Check("videos", State.MISSING, room, f"df -h {shlex.quote(str(folder))}")
    return Check("videos", State.OK, room)


def check_voice() -> Check:
    """espeak-ng, the voice that needs no network, says a word."""
    import asyncio

    from avatar_core.errors import AvatarError
    from avatar_session.speech.espeak import EspeakVoice

    async def say() -> int:
        async with EspeakVoice() as voice:
            return sum([len(sound.pcm) async for sound in voice.speak("Ready.")])

    try:
        spoken = asyncio.run(say())
    except AvatarError as error:
        return Check("voice", State.OPTIONAL, f"{error}; only TTS servers work", install("demo"))
    return Check("voice", State.OK, f"espeak-ng, built in; spoke {spoken} bytes of sound")


def check_faces() -> Check:
    """OpenCV with its face cascades, for `avatar prepare`."""
    try:
        import cv2
    except ImportError:
        detail = "faces are not looked for; `avatar prepare` wants --face-box"
        return Check("face finder", State.OPTIONAL, detail, install("prepare"))
    return Check("face finder", State.OK, f"OpenCV {cv2.__version__}")


def check_weights() -> Check:
    """What the musetalk engine needs to draw and to prepare avatars; by name and size, not by content."""
    from avatar_core.errors import AvatarError, Reason
    from avatar_inference.musetalk.weights import default_folder, open_weights
    from avatar_inference.musetalk.weights.catalogue import REQUIRED
    from avatar_inference.musetalk.weights.folder import fetch_command

    folder = default_folder()
    try:
        weights = open_weights(folder)
    except AvatarError as error:
        detail = f"none in {folder}" if error.reason is Reason.WEIGHTS_MISSING else str(error)
        return Check("musetalk weights", State.OPTIONAL, detail, fetch_command(folder))
    lacking = [part for part in REQUIRED if not weights.has(part)]
    if lacking:
        detail = f"{folder} lacks {', '.join(lacking)}"
        return Check("musetalk weights", State.OPTIONAL, detail, fetch_command(folder))
    whence = "as published" if weights.official else "not the published ones"
    return Check("musetalk weights", State.OK, f"{', '.join(weights.sha256)} in {folder}, {whence}")


def check_llm(environment: Mapping[str, str] = os.environ) -> Check:
    """Whether prompts have somewhere to go. Nothing is sent, and no key is shown."""
    if environment.get("OPENAI_API_KEY"):
        where = environment.get("OPENAI_BASE_URL") or "the API's own address"
        return Check("LLM", State.OK, f"a key in OPENAI_API_KEY, for {where}")
    mend = "avatar run --llm-url http://127.0.0.1:11434/v1 --model NAME --prompt TEXT"
    return Check("LLM", State.OPTIONAL, "no OPENAI_API_KEY; prompts want a server of yours", mend)


def all_checks(folder: Path) -> list[Callable[[], Check]]:
    """Every check, in the order they are shown; the first that fails often explains the others."""
    return [
        check_python,
        check_media,
        check_server,
        lambda: check_store(folder),
        check_voice,
        check_faces,
        check_weights,
        check_llm,
    ]
