"""`avatar lint` from the command line: lines, exit codes, and nothing that could do harm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avatar_cli.linting import lint
from avatar_operator.crds import KINDS
from avatar_operator.schemas import structural

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
HEAD = "apiVersion: avatars.dev/v1alpha1\nkind: AvatarSession\nmetadata: {name: hello}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n"


def avatar(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar_cli", "lint", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_lines_and_fields_of_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        f"{SECRET}---\n{HEAD}spec:\n  text: hi\n  video:\n    fps: 60\n    batchSize: 9\n  vido: {{}}\n"
    )
    ran = avatar(str(file))
    assert ran.returncode == 2
    lines = ran.stdout.splitlines()
    assert lines[0].startswith(f"{file}:11: spec.video.fps: must be 12 to 30 frames per second")
    assert lines[1].startswith(f"{file}:12: spec.video.batchSize: must be 1 to 4 frames a step")
    assert lines[2].startswith(f"{file}:13: spec.vido: unknown field 'vido'; did you mean 'video'?")
    assert "an API server drops it without a word" in lines[2]
    assert len(lines) == 3


def test_what_is_fine_is_told_and_others_are_passed_over() -> None:
    ran = avatar("-", stdin=f"{SECRET}---\n{HEAD}spec: {{prompt: 'What is $(OPENAI_API_KEY)?'}}\n")
    assert (ran.returncode, ran.stdout) == (0, "stdin: 1 resource is fine, 1 of others passed over\n")


def test_json_has_one_finding_a_line() -> None:
    ran = avatar("--json", "-", stdin=f"{HEAD}spec: {{text: hi, retry: -1}}\n")
    (finding,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (finding["line"], finding["field"], finding["source"]) == (4, "spec.retry", "stdin")
    assert ran.returncode == 2


def test_a_folder_is_all_its_yaml(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.txt"):
        (tmp_path / name).write_text(f"{HEAD}spec: {{text: hi}}\n")
    ran = avatar(str(tmp_path))
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) == 2
    (tmp_path / "empty").mkdir()
    assert avatar(str(tmp_path / "empty")).returncode == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no"),
        (b"# nothing\n", "holds no"),
        (b"\xff\xfe", "is not UTF-8"),
        (SECRET.encode(), "holds nothing of avatars.dev"),
        (HEAD.replace("avatars.dev", "avatar.dev").encode(), "use avatars.dev/v1alpha1"),
        (HEAD.replace("v1alpha1", "v1").encode(), "use avatars.dev/v1alpha1"),
        (HEAD.replace("Session", "Sesion").encode(), "did you mean 'AvatarSession'?"),
        (b"- 1", "must be a mapping"),
        (b"apiVersion: [[[]]]\nkind: {}", "is unknown"),
        (HEAD.encode(), "is required"),
        (f"{HEAD}spec: {{text: yes}}".encode(), "put it in quotes"),
        (f"{HEAD}spec: {{audio: welcome.wav}}".encode(), "https://"),
        (f"{HEAD}spec: {{prompt: '{'a' * 1_000_000}'}}".encode(), "at most 8192 characters"),
        (f'{HEAD}spec: {{text: "a\\u0007b"}}'.encode(), "control characters"),
    ],
    ids=lambda data: ascii(data)[:30],
)
def test_what_is_wrong_is_told(data: bytes, words: str) -> None:
    (finding,) = lint(data, "m.yaml").findings
    assert words in finding.message
    assert len(finding.message) < 500


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert lint(b"\xef\xbb\xbf" + f"{HEAD}spec: {{text: hi}}".encode(), "m.yaml").findings == ()


def test_an_alias_bomb_in_any_field_is_refused() -> None:
    bomb = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
    for line in ("apiVersion: *a39", "kind: *a39", "spec: *a39", "metadata: {labels: *a39}"):
        (finding,) = lint(f"{bomb}\n{line}\n".encode(), "m.yaml").findings
        assert "aliases" in finding.message


def test_the_server_is_asked_only_when_told_and_its_absence_is_told(tmp_path: Path) -> None:
    ran = avatar("--server", "--kubeconfig", str(tmp_path / "none"), str(EXAMPLES / "hello.yaml"))
    assert ran.returncode == 49
    assert "give --kubeconfig" in ran.stderr


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    document = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
    config.write_text(json.dumps(document | {"current-context": "x", "kind": "Config", "apiVersion": "v1"}))
    ran = avatar("--server", "--kubeconfig", str(config), str(EXAMPLES / "hello.yaml"))
    assert ran.returncode == 49
    assert "does not answer" in ran.stderr


def test_lint_loads_no_kubernetes_unless_asked() -> None:
    program = (
        "import sys; sys.argv = ['avatar', 'lint', 'examples/hello.yaml']\n"
        "from avatar_cli.main import run; assert run() == 0\n"
        "assert not {'kubernetes', 'kopf', 'av', 'grpc', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


LAPTOP_ONLY = {EXAMPLES / "audio.yaml"}
FOR_CLUSTERS = sorted(set(EXAMPLES.rglob("*.yaml")) - LAPTOP_ONLY)


@pytest.mark.parametrize("path", FOR_CLUSTERS, ids=lambda path: path.stem)
def test_an_example_is_fine(path: Path) -> None:
    report = lint(path.read_bytes(), path.name)
    assert report.findings == ()
    assert report.good


@pytest.mark.parametrize("path", sorted(LAPTOP_ONLY), ids=lambda path: path.stem)
def test_a_laptops_file_is_told_apart(path: Path) -> None:
    (finding,) = lint(path.read_bytes(), path.name).findings
    assert finding.field == "spec.audio"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "cluster").iterdir()), ids=lambda path: path.stem)
def test_an_example_for_clusters_says_how_to_apply_it(path: Path) -> None:
    assert f"#   kubectl apply -f examples/cluster/{path.name}\n" in path.read_text()


def test_every_field_has_an_example() -> None:
    shown = {
        field
        for path in FOR_CLUSTERS
        for checked in lint(path.read_bytes(), path.name).good
        for field in paths(checked.document.value["spec"], checked.resource.kind)
    }
    known = {
        field for kind in KINDS for field in fields(structural(kind.model)["properties"]["spec"], kind.name)
    }
    assert known - shown == set()


def paths(value: Any, at: str) -> set[str]:
    if not isinstance(value, dict):
        return {at}
    return {at}.union(*(paths(child, f"{at}.{name}") for name, child in value.items()))


def fields(node: dict[str, Any], at: str) -> set[str]:
    return {at}.union(*(fields(child, f"{at}.{name}") for name, child in node.get("properties", {}).items()))
