"""`avatar run` and its kin as processes: real pipeline, real server over a real socket, real files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from avatar_core.errors import REASONS, Reason

EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
QUICK = ("--height", "128", "--profile", "fast")


def start(*arguments: str, cwd: Path, **kwargs: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "avatar_cli", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE, **kwargs}
    return subprocess.Popen(command, cwd=cwd, text=True, env=ENVIRONMENT, **pipes)


def avatar(
    *arguments: str, cwd: Path, code: int = 0, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate(given, timeout=120)
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
    return subprocess.CompletedProcess(arguments, code, out, err)


def exit_code(reason: Reason) -> int:
    return REASONS[reason].exit_code


def facts(path: Path) -> tuple[int, int, str, str]:
    """Height, frames, and the codecs of both tracks."""
    with av.open(str(path)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        frames = sum(1 for _ in file.decode(video=0))
        return video.height, frames, video.codec_context.name, audio.codec_context.name


def left(folder: Path) -> list[str]:
    """Every file in a folder and below, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_text_becomes_a_file_a_receipt_and_the_next_command(tmp_path: Path) -> None:
    ran = avatar("run", "--text", "Good morning.", *QUICK, "-o", "my/first.mp4", cwd=tmp_path)
    lines = ran.stdout.splitlines()
    assert lines[0] == "my/first.mp4"
    assert left(tmp_path) == ["my/first.mp4"]
    height, frames, *codecs = facts(tmp_path / "my/first.mp4")
    assert (height, codecs) == (128, ["h264", "aac"])
    assert any(f"{frames} frames at 12/s" in line for line in lines)
    assert [line.split()[0] for line in lines if line.endswith(" s") and "x" not in line] >= ["draw"]
    assert "preview" in ran.stdout
    assert lines[-1].startswith("Next: python -m avatar_cli run ")
    assert "first" in ran.stderr.splitlines()[0]
    assert "100 %" in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr


def test_several_documents_from_standard_input_as_json(tmp_path: Path) -> None:
    manifest = (EXAMPLES / "several.yaml").read_text()
    ran = avatar("run", "-", "--json", *QUICK, cwd=tmp_path, given=manifest)
    entries = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [entry["file"] for entry in entries if entry["event"] == "made"] == [
        "out/first.mp4",
        "out/second.mp4",
    ]
    assert left(tmp_path) == ["out/first.mp4", "out/second.mp4"]
    receipts = [entry["receipt"] for entry in entries if entry["event"] == "made"]
    assert [receipt["name"] for receipt in receipts] == ["first", "second"]
    assert all(receipt["video"]["height"] == 128 for receipt in receipts)
    drawn = [entry for entry in entries if entry.get("stage") == "render" and entry["name"] == "first"]
    assert drawn[-1]["finished"] is True
    assert drawn[-1]["percent"] == 100
    assert ran.stderr == ""


def test_sound_is_found_beside_the_manifest(tmp_path: Path) -> None:
    avatar("run", str(EXAMPLES / "audio.yaml"), *QUICK, "-o", "a.mp4", cwd=tmp_path)
    assert facts(tmp_path / "a.mp4")[1] == pytest.approx(12 * (3.54 + 0.42), abs=1)


@pytest.mark.slow
def test_a_later_session_continues_an_earlier_one_and_only_an_earlier_one(tmp_path: Path) -> None:
    first, second = (EXAMPLES / "several.yaml").read_text().split("---\n")
    second += "  continueFrom:\n    name: first\n"
    both = f"{first}---\n{second}"
    assert "second.mp4" in avatar("run", "-", *QUICK, cwd=tmp_path, given=both).stdout
    ran = avatar("run", "-", *QUICK, cwd=tmp_path, given=second, code=exit_code(Reason.INVALID_SPEC))
    assert "spec.continueFrom.name" in ran.stderr


@pytest.mark.slow
def test_a_store_keeps_video_and_receipt_and_cleanup_takes_them_when_expired(tmp_path: Path) -> None:
    manifest = (EXAMPLES / "hello.yaml").read_text() + "  videoTTLSeconds: 0\n"
    ran = avatar("run", "-", "--store", "kept", *QUICK, cwd=tmp_path, given=manifest)
    where = ran.stdout.splitlines()[0]
    assert (tmp_path / where).is_file()
    assert any(name.endswith("result.json") for name in left(tmp_path))
    dry = avatar("cleanup", "--store", "kept", "--dry-run", cwd=tmp_path)
    assert dry.stdout.startswith("would delete ")
    assert (tmp_path / where).is_file()
    assert avatar("cleanup", "--store", "kept", cwd=tmp_path).stdout.startswith("deleted ")
    assert left(tmp_path) == []
    assert avatar("cleanup", "--store", "kept", cwd=tmp_path).stdout == "Nothing has expired.\n"


def test_cleanup_of_a_folder_takes_old_videos_alone(tmp_path: Path) -> None:
    for name, age in {"old.mp4": 7200, "young.mp4": 60, "old.txt": 7200}.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    ran = avatar("cleanup", "--json", cwd=tmp_path)
    assert [json.loads(line)["key"] for line in ran.stdout.splitlines()] == ["out/old.mp4"]
    assert left(tmp_path) == ["out/old.txt", "out/young.mp4"]


REFUSALS: list[tuple[list[str], Reason, str]] = [
    (["--text", "a", "--fps", "11"], Reason.INVALID_SPEC, "(flag --fps)"),
    (["--audio", "missing.wav"], Reason.INVALID_SPEC, "missing.wav"),
    (["--text", "a", "--voice", "xx-XX"], Reason.VOICE_NOT_FOUND, "(flag --voice)"),
    (["--text", "a", "--avatar", "nobody"], Reason.AVATAR_NOT_FOUND, "nobody"),
    (["--prompt", "a"], Reason.PROVIDER_NOT_FOUND, "provider"),
    (["--text", "a", "--store", "ftp://x"], Reason.INVALID_ARGUMENT, "ftp://x"),
    (["--text", "a", "-o", "file/x.mp4"], Reason.STORE_DENIED, "file"),
]


@pytest.mark.parametrize(("arguments", "reason", "words"), REFUSALS, ids=lambda value: str(value)[:40])
def test_failures_are_told_in_one_block_and_leave_nothing(
    tmp_path: Path, arguments: list[str], reason: Reason, words: str
) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    ran = avatar("run", *arguments, cwd=tmp_path, code=exit_code(reason))
    block = ran.stderr[ran.stderr.index("Error: ") :].splitlines()
    assert block[0] == f"Error: {reason}"
    assert any(words in line for line in block)
    assert block[-1].startswith("  advice ")
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert left(tmp_path) == ["file"]


def test_a_failure_keeps_the_older_file(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("older")
    arguments = ("--text", "a", "--voice", "xx", "-o", "x.mp4")
    avatar("run", *arguments, cwd=tmp_path, code=exit_code(Reason.VOICE_NOT_FOUND))
    assert (tmp_path / "x.mp4").read_text() == "older"
    assert left(tmp_path) == ["x.mp4"]


def test_out_of_time_names_the_stage_and_exits_as_timeout_does(tmp_path: Path) -> None:
    text = "One sentence that goes on for a while. " * 200
    ran = avatar("run", "--text", text, "--timeout", "1", cwd=tmp_path, code=124)
    assert re.search(r"in stage (speech|render) at \d+ %", ran.stderr)
    assert left(tmp_path) == []


@contextmanager
def inherited(number: signal.Signals, disposition: Any) -> Iterator[None]:
    """What children inherit for a signal: SIG_IGN stays, any handler becomes the default."""
    before = signal.signal(number, disposition)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with inherited(number, signal.default_int_handler):  # whatever this test run itself was started with
        check_signal(tmp_path, number)


def test_sigterm_ends_a_script_s_background_job_too(tmp_path: Path) -> None:
    with inherited(signal.SIGINT, signal.SIG_IGN):
        check_signal(tmp_path, signal.SIGTERM)


def check_signal(tmp_path: Path, number: signal.Signals) -> None:
    text = "One sentence that goes on for a while. " * 200
    process = start("run", "--text", text, "--json", "-o", "x.mp4", cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("stage") == "render" and json.loads(line)["done"] > 0:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["reason"] == "Cancelled"
    assert err.strip() == ""
    assert left(tmp_path) == []


@pytest.mark.slow
def test_a_server_of_its_own_process_serves_a_run_and_drains_on_sigterm(tmp_path: Path) -> None:
    server = start("serve", "--port", "0", "--metrics-port", "0", cwd=tmp_path)
    try:
        assert server.stdout is not None
        target = server.stdout.readline().removeprefix("serving on ").strip()
        assert server.stdout.readline().startswith("metrics on http://127.0.0.1:")
        avatar("run", "--text", "Hi.", "--server", target, *QUICK, "-o", "x.mp4", cwd=tmp_path)
        assert left(tmp_path) == ["x.mp4"]
    finally:
        server.terminate()
        _, logs = server.communicate(timeout=30)
    assert server.returncode == 0
    assert [json.loads(line)["message"] for line in logs.splitlines()][-1] == "stopped"


def test_demo_makes_hello(tmp_path: Path) -> None:
    ran = avatar("demo", cwd=tmp_path)
    assert ran.stdout.splitlines()[0] == "out/hello.mp4"
    assert left(tmp_path) == ["out/hello.mp4"]
    height, frames, video, audio = facts(tmp_path / "out/hello.mp4")
    assert (height, video, audio) == (512, "h264", "aac")
    assert frames > 60


def test_doctor_finds_everything_that_a_video_needs(tmp_path: Path) -> None:
    ran = avatar("doctor", "--json", cwd=tmp_path)
    found = {check["name"]: check for check in map(json.loads, ran.stdout.splitlines())}
    for name in ("Python", "video", "inference server", "videos", "voice"):
        assert (found[name]["state"], found[name]["mend"]) == ("ok", "")
    assert found["LLM"]["state"] == "optional"
    assert "avatar run --llm-url" in found["LLM"]["mend"]
