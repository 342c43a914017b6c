"""`avatar lint` is given files made to harm: it ends soon, in little memory, and shows nothing raw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from avatar_cli.linting import lint

HEAD = "apiVersion: avatars.dev/v1alpha1\nkind: AvatarSession\nmetadata: {name: hello}\n"
LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))])
MERGED = "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60))])
BOMBS = {
    "billion-laughs": f"{LAUGHS}\n{HEAD}spec: *a59\n",
    "merged-laughs": f"{MERGED}\n{HEAD}spec: *a59\n",
    "one-long-text-often": f"a: &a '{'x' * 500_000}'\n{HEAD}spec: {{text: hi, b: [{'*a, ' * 9000}]}}\n",
    "many-merges": f"a: &a {{x: 1}}\n{HEAD}spec: {{text: hi, <<: [{'*a, ' * 200_000}]}}\n",
    "itself": f"a: &a [*a]\n{HEAD}spec: *a\n",
    "deep-lists": "[" * 1_000_000,
    "deep-mappings": "{a: " * 250_000,
    "deep-dashes": "- " * 500_000,
    "huge-key": f"{HEAD}spec: {{text: hi, ? '{'k' * 1_000_000}' : 1}}\n",
    "many-keys": f"{HEAD}spec: {{text: hi, {', '.join(f'k{n}: 1' for n in range(60_000))}}}\n",
    "one-key-often": f"{HEAD}spec: {{{'text: hi, ' * 100_000}}}\n",
    "key-twice": f"{HEAD}spec: {{text: hi, text: ho}}\n",
    "many-documents": "--- {}\n" * 140_000,
    "many-anchors": "\n".join(f"- &a{n} x" for n in range(70_000)),
    "huge-number": f"{HEAD}spec: {{text: hi, retry: 0x{'f' * 1_000_000}}}\n",
    "endless-number": f"{HEAD}spec: {{text: hi, retry: 1e999999999}}\n",
    "python-object": f"{HEAD}spec: !!python/object/apply:os.system ['id']\n",
    "long-prompt": f"{HEAD}spec: {{prompt: '{'a' * 1_000_000}'}}\n",
    "too-large": f"{HEAD}spec: {{prompt: '{'a' * 1_100_000}'}}\n",
    "open-quote": f"{HEAD}spec: {{text: '{'a' * 1_000_000}",
    "long-address": f"{HEAD}spec: {{audio: 'https://{'a-' * 500_000}'}}\n",
    "long-name": HEAD.replace("hello", f"{'a.' * 500_000}-") + "spec: {text: hi}\n",
}
CPU_SECONDS, MEMORY = 60, 1 << 30
LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
from avatar_cli.main import main
main()
"""


@pytest.mark.slow
def test_no_bomb_goes_off(tmp_path: Path) -> None:
    for name, text in BOMBS.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    command = [sys.executable, "-c", LIMITED, "lint", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "")
    told = ran.stdout.splitlines()
    assert [name for name in BOMBS if not any(f"/{name}.yaml" in line for line in told)] == []
    assert max(map(len, told)) < 1000
    assert "fine" not in ran.stdout


def test_a_prompt_of_a_megabyte_is_told_what_is_allowed() -> None:
    (finding,) = lint(BOMBS["long-prompt"].encode(), "m.yaml").findings
    assert (finding.field, finding.message) == ("spec.prompt", "must be at most 8192 characters")
    (finding,) = lint(BOMBS["too-large"].encode(), "m.yaml").findings
    assert "larger than 1048576 bytes" in finding.message


FORGED = r"""
metadata: {name: hello, labels: {"\e[2J\u202ex": b}}
spec: {text: hi, "\e[31m\u202e": 1, "a\nforged": 1, llm: {model: "\u009b2J"}, speech: {voice: "\e]0;x\a"}}
"""


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_file_can_not_write_on_the_terminal_what_it_likes(tmp_path: Path, form: tuple[str, ...]) -> None:
    file = tmp_path / "forged.yaml"
    file.write_text(HEAD.replace("metadata: {name: hello}\n", "") + FORGED)
    command = [sys.executable, "-m", "avatar_cli", "lint", *form, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    lines = ran.stdout.rstrip("\n").split("\n")
    assert len(lines) == 5
    if form:
        lines = [json.loads(line)["field"] for line in lines]
    assert all(line.isprintable() for line in lines), lines
