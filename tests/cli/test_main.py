"""The command as a person meets it: help, mistakes, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from avatar_cli import checks, main
from avatar_cli.commands.completion import command as completion
from avatar_cli.commands.serve import command as serve
from avatar_cli.commands.serve import settings_from
from avatar_cli.failure import block, describe
from avatar_core.errors import REASONS, InvalidInputError, ProviderError, Reason
from avatar_inference.bundle_gateway import SharedBundles


def avatar(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def test_help_lists_every_command_and_where_to_start() -> None:
    ran = avatar("--help")
    assert ran.returncode == 0
    assert all(f"\n  {name} " in ran.stdout for name in main.COMMANDS)
    assert "avatar demo" in ran.stdout
    assert avatar().stdout == ran.stdout


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    ran = CliRunner().invoke(main.cli, [name, "--help"])
    assert ran.exit_code == 0, ran.output
    assert "Examples:" in ran.output or name == "demo"


def test_mistakes_come_with_the_nearest_right_word() -> None:
    for arguments, suggestion in [
        (["rnu"], "'run'"),
        (["serve", "--prot", "1"], "'--port'"),
        (["completion", "bsh"], "'bash'"),
        (["run", "--profile", "qualty"], "'quality'"),
    ]:
        ran = avatar(*arguments)
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert ran.stderr.startswith("Error: wrong command line\n  message  ")
        assert "Did you mean" in ran.stderr
        assert suggestion in ran.stderr.split("Did you mean")[1]
        assert "--help`" in ran.stderr


def test_mistakes_are_json_when_asked_for() -> None:
    ran = avatar("run", "--json", "--no-such-flag")
    entry = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr, entry["event"], entry["exitCode"]) == (2, "", "error", 2)


def test_a_failure_is_one_block_with_reason_field_message_and_advice() -> None:
    error = InvalidInputError(Reason.INVALID_SPEC, "must be 1 to 4, not '9'", field="spec.video.batchSize")
    lines = block(error).splitlines()
    assert "InvalidSpec" in lines[0]
    assert lines[1:] == [
        "  field    spec.video.batchSize (flag --batch-size)",
        "  message  must be 1 to 4, not '9'",
        f"  advice   {REASONS[Reason.INVALID_SPEC].advice}",
    ]


def test_a_bug_is_told_as_one_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["avatar", "completion", "bash"])
    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: 1 / 0)
    assert main.run() == 70
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "Error: Internal\n  message  ZeroDivisionError: division by zero" in told


def test_a_failure_as_json_tells_when_to_come_back() -> None:
    entry = describe(ProviderError(Reason.LLM_RATE_LIMITED, "too many requests", retry_after=7))
    assert (entry["reason"], entry["retryAfterSeconds"], entry["exitCode"]) == ("LLMRateLimited", 7, 40)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    ran = CliRunner().invoke(completion, [shell])
    assert ran.exit_code == 0
    assert "_AVATAR_COMPLETE" in ran.output


def test_bash_completes_commands_and_flags() -> None:
    words = {"COMP_WORDS": "avatar run --prof", "COMP_CWORD": "2", "_AVATAR_COMPLETE": "bash_complete"}
    program = "import sys; sys.argv = ['avatar']; from avatar_cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PATH": "/bin", **words},
        check=False,
    )
    assert "--profile" in ran.stdout


def test_serve_refuses_half_of_a_key_pair(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("x")
    ran = CliRunner().invoke(serve, ["--tls-cert", str(tmp_path / "cert.pem")])
    assert ran.exit_code == 2
    assert "belong together" in ran.output


def test_serve_refuses_a_gateway_without_a_token() -> None:
    ran = CliRunner().invoke(serve, ["--bundle-gateway", "http://gateway:8082"])
    assert ran.exit_code == 2
    assert "--bundle-token belong together" in ran.output


def test_serve_takes_what_a_cluster_needs(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    told = [
        "--token-audience",
        "a",
        "--bundle-gateway",
        "http://g",
        "--bundle-token",
        str(tmp_path / "token"),
    ]
    with serve.make_context("serve", [*told, "--bundle-cache-mib", "3"]) as context:
        settings = settings_from(context.params)
    assert settings.token_audience == "a"
    assert settings.shared_bundles == SharedBundles("http://g", tmp_path / "token")
    assert settings.bundle_cache_bytes == 3 * 1024**2


def test_doctor_names_the_command_that_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "av", None)
    faces, media = checks.check_faces(), checks.check_media()
    assert (faces.state, media.state) == (checks.State.OPTIONAL, checks.State.MISSING)
    assert "'avatar-operator[prepare]'" in faces.mend
    assert sys.executable in media.mend


def test_doctor_shows_no_key() -> None:
    found = checks.check_llm({"OPENAI_API_KEY": "sk-very-secret"})
    assert found.state is checks.State.OK
    assert "secret" not in found.detail + found.mend


def test_doctor_says_where_videos_go_and_makes_no_folder(tmp_path: Path) -> None:
    found = checks.check_store(tmp_path / "not/yet")
    assert found.state is checks.State.OK
    assert list(tmp_path.iterdir()) == []
