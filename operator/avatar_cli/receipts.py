"""What a run ends with: where the video is, its receipt as a small table, and what to try next."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_cli.progress import TITLES

if TYPE_CHECKING:
    from avatar_core.resources import AvatarSession
    from avatar_session.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Made:
    """A video and its receipt.

    Attributes:
        where: path, or URL of a store with the key.
        session: what was asked for.
        receipt: what came of it.
    """

    where: str
    session: AvatarSession
    receipt: Receipt


def as_json(made: Made) -> str:
    """One line for a program."""
    receipt = json.loads(made.receipt.to_json())
    return json.dumps({"event": "made", "file": made.where, "receipt": receipt}, ensure_ascii=False)


def as_text(made: Made) -> str:
    """The path on a line of its own, then the table."""
    receipt, video = made.receipt, made.receipt.video
    size, kilobytes = f"{video.width}x{video.height}", video.bytes / 1000
    facts = {
        "video": f"{size}, {video.frames} frames at {video.fps}/s, {video.seconds:.1f} s, {kilobytes:.0f} kB",
        "reply": _shortened(receipt.reply) if made.session.spec.prompt else "",
        "spoken": _spoken(receipt),
        "engine": ", ".join([receipt.engine, *_windows(receipt), *receipt.notes]),
        "weights": ", ".join(f"{part} {sha256[:12]}" for part, sha256 in sorted(receipt.weights.items())),
        "avatar": receipt.avatar,
    }
    rows = [f"  {name:<8} {text}" for name, text in facts.items() if text]
    return "\n".join([made.where, *rows, *_timing_rows(receipt)])


def _windows(receipt: Receipt) -> list[str]:
    return [f"{receipt.audio_windows} windows"] if receipt.audio_windows else []


def _spoken(receipt: Receipt) -> str:
    usage = receipt.usage
    parts = [f"{usage.speech_seconds:.1f} s of sound"]
    if usage.characters:
        parts.append(f"{usage.characters} characters")
    if usage.completion_tokens:
        about = "about " if usage.tokens_estimated else ""
        parts.append(f"{about}{usage.prompt_tokens}+{usage.completion_tokens} tokens")
    if usage.gpu_seconds:
        parts.append(f"{usage.gpu_seconds:.2f} s of GPU")
    return ", ".join(parts)


def _timing_rows(receipt: Receipt) -> list[str]:
    """When each stage began, gave something, and ended: they overlap, and here one sees how."""
    rows = [f"  {'stage':<8} {'began':>8} {'first':>8} {'ended':>8}"]
    for stage, timing in receipt.timings.items():
        times = " ".join(f"{seconds:6.2f} s" for seconds in (timing.begin, timing.first, timing.end))
        rows.append(f"  {TITLES.get(stage, stage):<8} {times}")
    speed = receipt.video.seconds / receipt.total_seconds if receipt.total_seconds else 0.0
    first = f"first picture after {receipt.first_frame_seconds:.2f} s"
    return [*rows, f"  in all   {receipt.total_seconds:.2f} s, {first}, {speed:.1f}x real time"]


def _shortened(text: str, limit: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def program() -> str:
    """How this command was called, so that what is shown can be typed again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m avatar_cli"
    if called.name == "kubectl-avatar":
        return "kubectl avatar"
    return called.name if shutil.which(called.name) else shlex.quote(sys.argv[0])


def next_step(made: Made) -> str:
    """The command to try after this video."""
    spec = made.session.spec
    if spec.prompt is None and spec.text is not None and spec.speech.voice is None:
        return f'{program()} run --text "Bonjour tout le monde !" --voice fr-FR -o out/bonjour.mp4'
    if spec.prompt is None:
        llm = "--llm-url http://127.0.0.1:11434/v1 --model llama3.2"
        return f'{program()} run --prompt "Why is the sky blue?" {llm} -o out/sky.mp4'
    return f"{program()} prepare portrait.jpg"
