"""Which cluster, namespace and session is meant, and how it is told when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.cluster.cli.conftest import Place, failed, running

from avatar_core.errors import REASONS, Reason

pytestmark = pytest.mark.cluster


def test_namespaces_as_kubectl_has_them(place: Place) -> None:
    place.apply()
    assert place.json("describe", "hello")["namespace"] == place.namespace  # the context's
    plain = place.cluster.kubeconfig()
    code, out, _ = place.run("describe", "avs/hello", "-n", place.namespace, config=plain)
    assert code == 0
    assert out.startswith(f"hello in namespace {place.namespace}\n")
    assert f"watch hello -n {place.namespace}" in out
    code, _, err = place.run("describe", "hello", config=plain)
    assert code == REASONS[Reason.SESSION_NOT_FOUND].exit_code
    assert "no session 'hello' in namespace default" in err
    assert f"add -n {place.namespace}" in err


def test_names_that_are_close_are_told(place: Place) -> None:
    place.apply("hello-world")
    code, out, err = place.run("describe", "helo-world")
    assert (code, out) == (24, "")
    assert err.startswith(f"Error: {Reason.SESSION_NOT_FOUND}\n")
    assert "did you mean 'hello-world'?" in err
    assert "there are hello-world" in place.run("describe", "zzz")[2]
    code, out, _ = place.run("watch", "zzz", "--json")
    entry = json.loads(out)
    assert (code, entry["reason"], entry["exitCode"]) == (24, "SessionNotFound", 24)


def test_names_that_can_be_none_never_leave(place: Place) -> None:
    for name in ("../secrets", "pods/hello", "Hello", "a/b/c", ""):
        code, _, err = place.run("describe", name)
        assert code == 2, err


def test_no_cluster(place: Place, tmp_path: Path) -> None:
    code, _, err = place.run("describe", "hello", config=tmp_path / "none")
    assert code == REASONS[Reason.CLUSTER_UNAVAILABLE].exit_code
    assert "there is no file" in err
    assert "--kubeconfig" in err
    code, _, err = place.run("describe", "hello", "--context", "nowhere")
    assert code == 49
    assert "nowhere" in err
    dead = tmp_path / "dead"
    document = yaml.safe_load(place.config().read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    dead.write_text(yaml.safe_dump(document))
    code, _, err = place.run("watch", "hello", config=dead)
    assert code == 49
    assert "the cluster does not answer" in err


def test_who_may_not_is_told_what_right_is_missing(place: Place) -> None:
    place.apply(status=failed("LLMUnauthorized", "401"))
    stranger = place.config(place.cluster.kubeconfig("stranger"))
    for arguments in (["describe"], ["watch"], ["download"], ["logs"], ["cancel"], ["retry"]):
        code, out, err = place.run(*arguments, "hello", config=stranger)
        assert (code, out) == (REASONS[Reason.FORBIDDEN].exit_code, "")
        assert 'User "stranger" cannot get resource "avatarsessions"' in err
    expired = place.config(place.cluster.token_kubeconfig("no-such-token"))
    code, _, err = place.run("describe", "hello", config=expired)
    assert code == 25
    assert "log in to it again" in err


def test_without_the_client_the_command_that_mends_it_is_told(place: Place) -> None:
    (place.folder / "kubernetes.py").write_text("raise ModuleNotFoundError(name='kubernetes')")
    import os

    path = f"{place.folder}:{os.environ.get('PYTHONPATH', '')}"
    code, _, err = place.run("describe", "hello", PYTHONPATH=path)
    assert code == REASONS[Reason.MISSING_DEPENDENCY].exit_code
    assert "kubernetes is missing; install it with:" in err
    assert "avatar-operator[operator]" in err


def test_keys_in_a_kubeconfig_leave_no_file_behind(place: Place, tmp_path: Path) -> None:
    from base64 import b64encode

    place.apply(status=running("render", 10, 1))
    document = yaml.safe_load(place.config().read_text())
    user, cluster = document["users"][0]["user"], document["clusters"][0]["cluster"]
    for part, keys in ((user, ("client-certificate", "client-key")), (cluster, ("certificate-authority",))):
        for key in keys:
            part[f"{key}-data"] = b64encode(Path(part.pop(key)).read_bytes()).decode()
    inline, scratch = tmp_path / "inline", tmp_path / "scratch"
    inline.write_text(yaml.safe_dump(document))
    scratch.mkdir()
    assert place.run("describe", "hello", config=inline, TMPDIR=str(scratch))[0] == 0
    assert list(scratch.iterdir()) == []


def test_names_complete(place: Place) -> None:
    place.apply("hello-one")
    place.apply("other")
    words = {"COMP_WORDS": "avatar watch hel", "COMP_CWORD": "2", "_AVATAR_COMPLETE": "bash_complete"}
    _, out, _ = place.run(**words)
    assert out.split("\n")[0] == "plain,hello-one"
    assert "other" not in out
