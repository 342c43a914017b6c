"""`avatar weights`: from the command line, with nothing heavy loaded before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tests.support.mirror import Mirror, serving
from tests.support.published import networks, publish, save

from avatar_cli.checks import State, check_weights
from avatar_cli.commands.weights import command
from avatar_core.errors import REASONS, Reason, WeightsError
from avatar_inference.musetalk import layout
from avatar_inference.musetalk.layout import TINY
from avatar_inference.musetalk.weights import catalogue, open_weights, random_weights
from avatar_inference.musetalk.weights.modules import fresh_module


def avatar(*arguments: str, cwd: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "avatar_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"XDG_DATA_HOME": str(cwd / "data")} | environment,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of small networks, which the command takes for the published ones."""
    published = tmp_path / "published"
    published.mkdir()
    parts, files = publish(published, networks())
    monkeypatch.setattr(catalogue, "PARTS", parts)
    monkeypatch.setattr(catalogue, "BY_NAME", {part.name: part for part in parts})
    monkeypatch.setattr(layout, "MUSETALK", TINY)
    with serving(files) as running:
        yield running


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=True)


def test_the_list_shows_uses_sizes_licences_and_states(tmp_path: Path) -> None:
    random_weights(tmp_path / "some", TINY, 0, ["vae"])
    ran = avatar("weights", "list", "--json", "--folder", str(tmp_path / "some"), cwd=tmp_path)
    rows = {row["part"]: row for row in map(json.loads, ran.stdout.splitlines())}
    assert list(rows) == ["unet", "vae", "whisper", "landmarks", "detector", "parser"]
    assert {part: row["state"] for part, row in rows.items() if row["state"] == "here"} == {"vae": "here"}
    assert rows["unet"]["bytes"] == 3_400_074_924
    assert "research only" in rows["parser"]["caution"]
    assert rows["unet"]["caution"] is None
    text = avatar("weights", "list", cwd=tmp_path).stdout
    assert "licence: Apache-2.0" in text
    assert "left out unless asked for: --with parser" in text
    assert "mind: its training data, COCO-WholeBody, is for research" in text
    assert text.splitlines()[-1] == f"Folder: {tmp_path / 'data/avatar-operator/weights'}"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["fetch", "--help"], ["verify"]])
def test_nothing_heavy_is_loaded_before_it_is_needed(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys, json; sys.argv[0] = 'avatar'\n"
        "from avatar_cli.main import run\n"
        "run(); print('\\n' + json.dumps(sorted(m for m in sys.modules if '.' not in m)))\n"
    )
    environment = os.environ | {"AVATAR_WEIGHTS": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program, "weights", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    loaded = set(json.loads(ran.stdout.splitlines()[-1]))
    assert {"torch", "diffusers", "transformers", "cv2", "av", "httpx2", "grpc"} & loaded == set()


def test_weights_are_fetched_told_and_then_only_checked(mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    arguments = ("fetch", "--folder", str(folder), "--endpoint", mirror.url)
    ran = invoke(*arguments)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == f"The weights are in {folder}.\n"
    assert "licence: MIT" in ran.stderr
    assert "unet: fetching" in ran.stderr and "unet: ready" in ran.stderr
    assert "parser" not in ran.stderr
    assert open_weights(folder).official
    asked = len(mirror.asked)
    again = invoke(*arguments, "--json")
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert [event["part"] for event in events if event["event"] == "wanted"] == [
        "unet", "vae", "whisper", "landmarks"
    ]  # fmt: skip
    assert {event["stage"] for event in events if event["event"] == "progress"} == {"checking", "ready"}
    assert events[-1] == {"event": "done", "folder": str(folder)}
    assert len(mirror.asked) == asked


def test_research_only_parts_are_pointed_out(mirror: Mirror, tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path / "w"), "--endpoint", mirror.url)
    ran = invoke("fetch", *place, "--with", "parser,detector")
    assert ran.exit_code == 0, ran.output
    assert "mind: its training data, CelebAMask-HQ, is for non-commercial research only" in ran.stderr
    assert {"parser", "detector"} <= set(open_weights(tmp_path / "w").sha256)


def test_parts_may_be_left_out(mirror: Mirror, tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path / "w"), "--endpoint", mirror.url)
    ran = invoke("fetch", *place, "--without", "landmarks, unet")
    assert ran.exit_code == 0, ran.output
    assert set(open_weights(tmp_path / "w").sha256) == {"vae", "whisper"}


def test_the_endpoint_and_the_token_come_from_the_environment(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", mirror.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    monkeypatch.setenv("AVATAR_WEIGHTS", str(tmp_path / "w"))
    ran = invoke("fetch")
    assert ran.exit_code == 0, ran.output
    assert {asked.authorization for asked in mirror.asked} == {"Bearer hf_secret"}
    assert "hf_secret" not in ran.output
    assert open_weights(tmp_path / "w").has("unet")


def test_a_folder_of_files_is_taken(mirror: Mirror, tmp_path: Path) -> None:
    ran = invoke("fetch", "--folder", str(tmp_path / "w"), "--from", str(tmp_path / "published"))
    assert ran.exit_code == 0, ran.output
    assert mirror.asked == []
    assert open_weights(tmp_path / "w").official


def test_verify_tells_numbers_hashes_and_origin(mirror: Mirror, tmp_path: Path) -> None:
    folder = str(tmp_path / "w")
    assert invoke("fetch", "--folder", folder, "--endpoint", mirror.url).exit_code == 0
    rows = [json.loads(line) for line in invoke("verify", "--folder", folder, "--json").stdout.splitlines()]
    sha256 = open_weights(tmp_path / "w").sha256
    assert {row["part"]: row["sha256"] for row in rows[:-1]} == dict(sha256)
    assert rows[-1] == {"event": "done", "folder": folder, "official": True}
    assert "all finite" in invoke("verify", "--folder", folder).stdout


def test_verify_fails_for_what_was_harmed(tmp_path: Path) -> None:
    random_weights(tmp_path / "w", TINY, 0, ["vae"])
    with (tmp_path / "w/vae.safetensors").open("ab") as file:
        file.write(b"!")
    code = REASONS[Reason.WEIGHTS_INVALID].exit_code
    ran = avatar("weights", "verify", "--folder", str(tmp_path / "w"), cwd=tmp_path, code=code)
    assert "Error: WeightsInvalid" in ran.stderr


def test_a_checkpoint_of_ones_own_is_converted(mirror: Mirror, tmp_path: Path) -> None:
    own = dict(fresh_module("unet", TINY).state_dict())
    file = save(tmp_path / "own.pth", own)
    ran = invoke("convert", "unet", str(file), "--folder", str(tmp_path / "w"))
    assert ran.exit_code == 0, ran.output
    weights = open_weights(tmp_path / "w")
    assert all(torch.equal(tensor, own[name]) for name, tensor in weights.tensors("unet").items())
    assert not weights.official
    wrong = invoke("convert", "vae", str(file), "--folder", str(tmp_path / "w"))
    assert isinstance(wrong.exception, WeightsError)
    assert "does not fit" in str(wrong.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fetch", "--with", "nose"], "'nose' is none of unet"),
        (["fetch", "--without", "nose"], "'nose' is none of unet"),
        (["verify", "--audio", __file__], "belong to --golden"),
        (["fetch", "--from", "/nowhere"], "does not exist"),
        (["convert", "nose", "x"], "nose"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], told: str) -> None:
    ran = invoke(*arguments)
    assert ran.exit_code == 2
    assert told in ran.stderr


def test_an_endpoint_that_is_none_is_told_as_a_field(tmp_path: Path) -> None:
    ran = avatar(
        "weights", "fetch", "--folder", str(tmp_path / "w"), "--endpoint", "mirror", cwd=tmp_path, code=2
    )
    assert "must look like https://" in ran.stderr


def test_the_doctor_tells_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_WEIGHTS", str(tmp_path))
    none = check_weights()
    assert (none.state, none.mend) == (State.OPTIONAL, f"avatar weights fetch --folder {tmp_path}")
    random_weights(tmp_path, TINY, 0, ["unet", "vae", "whisper"])
    some = check_weights()
    assert (some.state, some.detail) == (State.OPTIONAL, f"{tmp_path} lacks landmarks")
    random_weights(tmp_path, TINY, 0, ["landmarks"])
    assert check_weights().state is State.OK
    assert "not the published ones" in check_weights().detail
    (tmp_path / "weights.json").write_text("{")
    assert check_weights().state is State.OPTIONAL
