"""`avatar prepare`: a photograph becomes an avatar that speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from tests.support.portraits import FACE, astronaut, faceless, save

from avatar_cli.commands.prepare import command as prepare
from avatar_core.errors import REASONS, Reason


def avatar(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar_cli", *arguments]
    environment = os.environ | {"XDG_DATA_HOME": str(cwd / "data")}
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment, check=False
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran


@pytest.mark.slow
def test_a_portrait_becomes_an_avatar_that_speaks(tmp_path: Path) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    made = json.loads(avatar("prepare", "portrait.png", "--json", cwd=tmp_path).stdout.splitlines()[-1])
    assert (made["event"], made["width"], made["height"], made["pictures"]) == ("prepared", 512, 512, 1)
    assert [finding["reason"] for finding in made["findings"]] == ["SmallFace"]
    with Image.open(tmp_path / made["preview"]) as preview:
        assert preview.size == (512, 512)
    arguments = ("run", "--text", "Hello.", "--avatar", made["avatar"], "-o", "x.mp4")
    ran = avatar(*arguments, cwd=tmp_path)
    assert made["avatar"] in ran.stdout
    assert "not by a trained model" in ran.stdout


def test_a_given_box_is_taken_and_the_next_command_shown(tmp_path: Path) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    box = f"{FACE.x},{FACE.y},{FACE.width},{FACE.height}"
    ran = avatar("prepare", "portrait.png", "--face-box", box, "--preview", "box.png", cwd=tmp_path)
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("sha256:")
    assert lines[1] == "  1 picture of 512x512; see box.png"
    assert lines[2].startswith("  SmallFace: ")
    assert lines[-1] == f'Next: avatar run --text "Hello!" --avatar {lines[0]}'
    assert (tmp_path / "box.png").is_file()
    assert "100 %" in ran.stderr


def test_a_picture_without_a_face_is_refused(tmp_path: Path) -> None:
    save(faceless(), tmp_path / "cup.png")
    ran = avatar("prepare", "cup.png", cwd=tmp_path, code=REASONS[Reason.NO_FACE].exit_code)
    assert "Error: NoFace" in ran.stderr
    assert ran.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "-1,0,10,10", "0,0,0,10"])
def test_a_wrong_box_is_told_before_anything_starts(tmp_path: Path, box: str) -> None:
    save(astronaut(), tmp_path / "portrait.png")
    ran = CliRunner().invoke(prepare, [str(tmp_path / "portrait.png"), f"--face-box={box}"])
    assert ran.exit_code == 2
    assert repr(box) in ran.output
