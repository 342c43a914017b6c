"""Where the programs of a cluster come from; with a real compiler and a real download, small and local."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cluster import tools
from tests.cluster.download import DownloadError, download, published_digest
from tests.cluster.programs import COREDNS, ETCD, KUBERNETES, KUBERNETES_NODE, Release
from tests.cluster.tools import FOLDER_VARIABLE, ToolsError, find_tools, make_tools

PROGRAM = b"#!/bin/sh\necho published\n"
UNREACHABLE = "http://127.0.0.1:9/{version}/{program}"  # the discard port: refused at once


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@dataclass
class Site:
    """A web site that publishes releases."""

    folder: Path
    port: int

    def release(self, name: str = "thing", suffix: str = "") -> Release:
        base = f"http://127.0.0.1:{self.port}/{{version}}/{{program}}{suffix}"
        return Release(name, "v1", {"thing": "example.com/thing"}, base, f"{base}.sha256")

    def publish(self, file: str, content: bytes, digest: str | None = None) -> None:
        (self.folder / "v1").mkdir(exist_ok=True)
        (self.folder / "v1" / file).write_bytes(content)
        (self.folder / "v1" / f"{file}.sha256").write_text(digest or hashlib.sha256(content).hexdigest())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Site(folder, server.server_port)
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("GOCACHE", os.environ.get("GOCACHE") or str(usual / "go-build"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path / "cache" / "avatar-operator" / "cluster"


@dataclass
class Said:
    """Lines that were said."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)


def test_a_release_is_downloaded_once_and_kept_per_version(site: Site, cache: Path) -> None:
    site.publish("thing", PROGRAM)
    made = make_tools(Said(), [site.release()])
    assert made == {"thing": cache / "thing-v1" / "thing"}
    assert subprocess.run([made["thing"]], capture_output=True, check=True).stdout == b"published\n"
    site.publish("thing", b"another")
    assert make_tools(Said(), [site.release()])["thing"].read_bytes() == PROGRAM
    newer = replace(site.release(), version="v2")
    with pytest.raises(ToolsError, match=r"no thing in .*: run `make cluster-tools`"):
        find_tools([newer])


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_a_program_is_taken_from_an_archive_wherever_it_lies_there(
    site: Site, tmp_path: Path, suffix: str
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in (("v1/README", b"no"), ("../../etc/thing.d", b"no"), ("v1/deep/thing", PROGRAM)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    site.publish(f"thing{suffix}", packed.getvalue())
    download(site.release(suffix=suffix), "thing", tmp_path / "thing")
    assert (tmp_path / "thing").read_bytes() == PROGRAM
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize(
    ("content", "digest", "reason"),
    [(PROGRAM, "0" * 64, "published is 0000"), (PROGRAM, "a b c", "published is none"), (None, None, "404")],
)
def test_what_is_not_as_published_is_refused(
    site: Site, tmp_path: Path, content: bytes | None, digest: str | None, reason: str
) -> None:
    if content is not None:
        site.publish("thing", content, digest)
    with pytest.raises(DownloadError, match=reason):
        download(site.release(), "thing", tmp_path / "thing")
    assert not (tmp_path / "thing").exists()


def test_digests_are_read_bare_and_from_lists() -> None:
    listed = f"{'a' * 64}  etcd-v1-linux-arm64.tar.gz\n{'b' * 64} *etcd-v1-linux-amd64.tar.gz\n"
    assert published_digest(f"{'c' * 64}\n", "kubectl") == "c" * 64
    assert published_digest(listed, "etcd-v1-linux-amd64.tar.gz") == "b" * 64
    assert published_digest(listed, "etcd-v1-darwin-amd64.zip") is None


def test_a_chosen_folder_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    site.publish("thing", PROGRAM)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ToolsError, match=f"unset {FOLDER_VARIABLE}"):
        make_tools(Said(), [site.release()])
    (tmp_path / "thing").write_bytes(PROGRAM)
    with pytest.raises(ToolsError):
        find_tools([site.release()])  # it can't be run
    (tmp_path / "thing").chmod(0o755)
    assert find_tools([site.release()]) == {"thing": tmp_path / "thing"}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A module of one program that nothing publishes."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    folder = tmp_path / "go" / "thing"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/thing\n\ngo 1.21\n")
    (folder / "main.go").write_text(
        "package main\n\nvar version string\n\nfunc main() { println(version) }\n"
    )
    monkeypatch.setattr("tests.cluster.programs._GO_MODULES", tmp_path / "go")
    packages = {"thing": "example.com/thing"}
    return Release("thing", "v1", packages, UNREACHABLE, UNREACHABLE, {"main.version": "v1.2.3"})


def test_what_can_not_be_downloaded_is_built(source: Release, cache: Path) -> None:
    said = Said()
    program = make_tools(said, [source])["thing"]
    assert subprocess.run([program], capture_output=True, text=True, check=True).stderr == "v1.2.3\n"
    assert "can't be downloaded" in said.lines[0]
    assert list((cache / "thing-v1").iterdir()) == [program]


def test_what_is_published_nowhere_is_built_at_once(source: Release) -> None:
    said = Said()
    assert make_tools(said, [replace(source, download="")])["thing"]
    assert "downloaded" not in str(said.lines)


def test_an_address_is_made_of_the_version_with_and_without_its_v() -> None:
    url, checksum = COREDNS.urls("coredns")
    number = COREDNS.version.removeprefix("v")
    assert f"/{COREDNS.version}/coredns_{number}_" in url
    assert checksum == f"{url}.sha256"


def test_a_broken_build_says_what_the_compiler_said_and_leaves_nothing(source: Release, cache: Path) -> None:
    (source.go_module / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(ToolsError, match="undefined: nonsense"):
        make_tools(Said(), [source])
    assert not list((cache / "thing-v1").iterdir())


def test_leftovers_of_a_killed_one_are_cleared(site: Site, cache: Path) -> None:
    site.publish("thing", PROGRAM)
    leftover = cache / "thing-v1" / ".unfinished-abc"
    leftover.mkdir(parents=True)
    (leftover / "thing").write_bytes(b"half")
    made = make_tools(Said(), [site.release()])
    assert list((cache / "thing-v1").iterdir()) == [made["thing"]]


def test_many_who_ask_at_once_build_once(site: Site) -> None:
    site.publish("thing", PROGRAM)
    said, failures = Said(), []

    def ask() -> None:
        try:
            assert make_tools(said, [site.release()])["thing"].read_bytes() == PROGRAM
        except Exception as error:
            failures.append(error)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert not failures
    assert len(said.lines) == 1, said.lines


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, version in (("old", "go1.19.8"), ("cache/avatar-operator/go/bin", "go1.27.3")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "go").write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
        (tmp_path / folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'old'}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert tools._go() == str(tmp_path / "cache/avatar-operator/go/bin/go")


def test_the_modules_pin_the_versions_that_are_asked_for() -> None:
    modules = (
        (KUBERNETES, "k8s.io/kubernetes"),
        (KUBERNETES_NODE, "k8s.io/kubernetes"),
        (ETCD, "go.etcd.io/etcd/server/v3"),
        (COREDNS, "github.com/coredns/coredns"),
    )
    for release, module in modules:
        pinned = (release.go_module / "go.mod").read_text()
        assert f"require {module} {release.version}\n" in pinned
        named = (release.go_module / "tools.go").read_text()
        assert all(f'"{package}"' in named for package in release.packages.values())


def test_who_lacks_the_programs_is_told_what_to_do(cache: Path) -> None:
    program = [sys.executable, "-m", "tests.cluster", "up"]
    ran = subprocess.run(program, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "run `make cluster-tools`" in ran.stderr
    assert "Traceback" not in ran.stderr
