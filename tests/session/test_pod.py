"""A pod's files, last words and exit code."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest

from avatar_core.errors import AvatarError, InvalidInputError, Reason
from avatar_session.pod import (
    MESSAGE_BYTES,
    PodFiles,
    add_options,
    configure_pod_logs,
    failure,
    fitted,
)


def test_defaults_are_where_the_operator_mounts_them() -> None:
    parser = ArgumentParser()
    add_options(parser)
    files = PodFiles.of(parser.parse_args([]))
    assert str(files.document) == "/etc/avatar/session.json"
    assert str(files.tokens) == "/var/run/secrets/avatars.dev"
    assert str(files.message) == "/dev/termination-log"


def test_tokens_are_read_anew(tmp_path: Path) -> None:
    files = PodFiles(tokens=tmp_path)
    assert files.token("gateway") == ""
    (tmp_path / "gateway").write_text("one\n")
    assert files.token("gateway") == "one"
    (tmp_path / "gateway").write_text("two\n")
    assert files.token("gateway") == "two"


@pytest.mark.parametrize("text", ["", "{", "[]", None])
def test_a_document_that_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "session.json").write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        PodFiles(document=tmp_path / "session.json").read()
    assert caught.value.reason is Reason.INVALID_SPEC


def test_short_words_are_left_alone() -> None:
    words = {"reason": "NoFace", "message": "Gesicht? Nö."}
    assert json.loads(fitted(words)) == words


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀", "\n", '"', "\x01", "\ud800"])
@pytest.mark.parametrize("count", [2100, 4000, 65536])
def test_long_words_fit_and_are_whole_json(letter: str, count: int) -> None:
    words = {"result": {"sha256": "ab" * 32, "reply": letter * count, "notes": ["short", letter * count]}}
    fit = fitted(words)
    assert MESSAGE_BYTES - 64 < len(fit) <= MESSAGE_BYTES
    read = json.loads(fit)["result"]
    assert read["sha256"] == "ab" * 32
    assert read["notes"][0] == "short"
    assert read["reply"].endswith("…") or letter == "\ud800"


def test_too_many_words_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        fitted({"notes": ["x" * 200] * 60})


def test_a_typed_failure_keeps_reason_and_exit_code() -> None:
    error = InvalidInputError(Reason.INVALID_SPEC, "too long", field="spec.text")
    assert failure(error) == ({"reason": "InvalidSpec", "message": "spec.text: too long"}, 2)
    assert failure(AvatarError(Reason.DEADLINE_EXCEEDED, "late"))[1] == 124
    assert failure(KeyboardInterrupt())[0]["reason"] == "Cancelled"
    assert failure(KeyboardInterrupt())[1] == 130


def test_a_bug_tells_its_kind_and_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    words, code = failure(RuntimeError("sk-secret"))
    assert code == 70
    assert words["reason"] == "Internal"
    assert "RuntimeError" in words["message"]
    assert "sk-secret" not in words["message"]
    assert caplog.records[-1].exc_info


def test_words_that_can_not_be_written_are_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PodFiles(message=tmp_path / "nowhere" / "message").say({"reason": "NoFace"})
    assert "can't be written" in caplog.text


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_secrets_are_not_logged(root_logger: logging.Logger) -> None:
    configure_pod_logs("info", ['sk-"quoted"', "", "abc"], session="a/b")
    lines = io.StringIO()
    handler = root_logger.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    logging.getLogger("library").info('sent sk-"quoted" with abc')
    entry = json.loads(lines.getvalue())
    assert entry["message"] == "sent [secret] with abc"
    assert entry["session"] == "a/b"


def test_leaving_flushes_and_keeps_the_exit_code() -> None:
    program = "from avatar_session.pod import leave; print('said', end=''); leave(47)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (47, "said")
