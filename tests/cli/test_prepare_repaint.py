"""`avatar prepare` for an engine that repaints the lower face."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.test_prepare import avatar
from tests.support.landmarks import ASTRONAUT, write_landmarks
from tests.support.portraits import astronaut, save

from avatar_cli.commands.prepare import command as prepare
from avatar_cli.engine_flags import EngineFlags
from avatar_core.errors import REASONS, Reason
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.weights.sample import random_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random weights of all that draws."""
    folder = tmp_path_factory.mktemp("weights")
    random_weights(folder, TINY, 7)
    return folder


@pytest.mark.slow
def test_without_points_the_remedy_is_named(tmp_path: Path, weights: Path) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    code = REASONS[Reason.WEIGHTS_MISSING].exit_code
    arguments = ("prepare", "portrait.png", "--engine", "musetalk", "--weights", str(weights))
    ran = avatar(*arguments, cwd=tmp_path, code=code)
    assert "avatar weights fetch" in ran.stderr
    assert "--landmarks" in ran.stderr


@pytest.mark.slow
def test_the_next_command_that_is_shown_works(tmp_path: Path, weights: Path) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    write_landmarks(tmp_path / "points.json", [ASTRONAUT])
    engine = ("--engine", "musetalk", "--weights", str(weights), "--windows", "upstream")
    ran = avatar("prepare", "portrait.png", "--landmarks", "points.json", *engine, cwd=tmp_path)
    program, *command = shlex.split(ran.stdout.splitlines()[-1].removeprefix("Next: "))
    assert program == "avatar"
    assert "musetalk, upstream windows" in avatar(*command, cwd=tmp_path).stdout


def test_flags_that_say_what_is_so_anyway_are_not_shown() -> None:
    assert EngineFlags().as_typed() == ""
    flags = EngineFlags(engine="musetalk", weights=Path("my weights"), device="auto", precision="bf16")
    assert flags.as_typed() == " --engine musetalk --weights 'my weights' --precision bf16"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--cheeks", "90"), "two whole numbers"),
        (("--cheeks", "90,257"), "0 to 256"),
        (("--cheeks", "-1,90"), "0 to 256"),
        (("--fps", "4"), "5 to 60"),
        (("--fps", "1/0"), "a fraction such as"),
        (("--fps", "nan"), "a fraction such as"),
        (("--fps", "30000001/1000001"), "terms of at most"),
        (("--margin", "401"), "0<=x<=400"),
        (("--shift", "-401"), "-400<=x<=400"),
        (("--side-max", "100"), "128<=x<=4096"),
        (("--mask", "chin"), "landmarks"),
        (("--landmarks", "missing.json"), "does not exist"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, str], part: str
) -> None:
    path = save(astronaut(), tmp_path / "portrait.png")
    ran = CliRunner().invoke(prepare, [str(path), *arguments])
    assert ran.exit_code == 2
    assert part in ran.output


def test_a_landmarks_file_that_is_none_names_the_field(tmp_path: Path) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    write_landmarks(tmp_path / "points.json", [ASTRONAUT[:67]])
    code = REASONS[Reason.INVALID_ARGUMENT].exit_code
    ran = avatar("prepare", "portrait.png", "--landmarks", "points.json", cwd=tmp_path, code=code)
    assert "pictures[0]" in ran.stderr
    assert "must be null or a list of 68 points" in ran.stderr
