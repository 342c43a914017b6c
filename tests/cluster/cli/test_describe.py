"""`avatar describe` as a person reads it."""

from __future__ import annotations

import pytest
from tests.cluster.cli.conftest import Place, condition, failed, made, now, running

from avatar_core.errors import REASONS, Reason

pytestmark = pytest.mark.cluster


def pod(place: Place, uid: str) -> None:
    """A pod of the session, and an Event about each of the two."""
    labels = {"avatars.dev/session-uid": uid}
    containers = [{"name": "session", "image": "example.invalid/session:1"}]
    path = f"/api/v1/namespaces/{place.namespace}"
    spec = {"containers": containers, "serviceAccountName": "default", "automountServiceAccountToken": False}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    place.cluster.rest.post(f"{path}/serviceaccounts", account)
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "avs-x-1-abc", "labels": labels}}
    there = place.cluster.rest.post(f"{path}/pods", {**body, "spec": spec})
    for kind, name, about, reason in (
        ("AvatarSession", "hello", uid, "LLMUnauthorized"),
        ("Pod", "avs-x-1-abc", there["metadata"]["uid"], "FailedScheduling"),
    ):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "e-"},
            "involvedObject": {"kind": kind, "name": name, "uid": about, "namespace": place.namespace},
            "type": "Warning",
            "reason": reason,
            "message": f"what happened to the {kind}",
            "lastTimestamp": now(-90),
        }
        place.cluster.rest.post(f"{path}/events", event)


def test_a_failure_with_who_can_do_what(place: Place) -> None:
    advice = REASONS[Reason.LLM_UNAUTHORIZED].advice
    status = failed("LLMUnauthorized", f"the LLM says 401. {advice}", stage="llm", jobName="avs-x-1")
    uid = place.apply(status=status)["metadata"]["uid"]
    pod(place, uid)
    code, out, err = place.run("describe", "hello")
    assert (code, err) == (0, "")
    assert "phase    Failed" in out
    assert "stage    write" in out
    assert "Succeeded        False    LLMUnauthorized, for" in out
    assert "    the LLM says 401.\n    For an administrator: Check the LLM's API key.\n" in out
    assert "Job      avs-x-1 (gone)" in out
    assert "pod      avs-x-1-abc, Pending" in out
    assert (
        "1 min 3" in out and "FailedScheduling (Pod)" in out and "what happened to the AvatarSession" in out
    )
    assert "Next: python -m avatar_cli retry hello" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_video_with_bars_of_one_scale(place: Place) -> None:
    link = "http://videos.example/v/1.2.x/team/uid/"
    place.apply(status=made(link))
    _, out, _ = place.run("describe", "hello")
    assert "  speak    |########" in out
    assert "  draw     |   #####" in out
    assert "0.20 to   1.50 s, first after 0.40 s" in out
    assert "in line 0.0 s, starting 2.0 s, to the first picture 0.8 s, in all 1.8 s" in out
    assert "video    512x512, 36 frames at 15/s, 2.4 s, 12 kB" in out
    assert f"link     {link}" in out
    assert "UTC, in 59 min" in out
    assert "download hello" in out


def test_what_goes_on_and_what_is_waited_for(place: Place) -> None:
    place.apply(status=running("render", 33, 12, 36))
    _, out, _ = place.run("describe", "hello")
    assert "stage    draw, 33 %, 12/36 frames" in out
    waiting = [condition("Succeeded", "Unknown", "Unschedulable", "0/3 nodes are available")]
    place.write({"phase": "Starting", "attempt": 1, "conditions": waiting})
    _, out, _ = place.run("describe", "hello")
    assert "waits    Unschedulable: 0/3 nodes are available (Wait for room on a node, or" in out
    assert "Trying again may help." in out
    assert "watch hello" in out
    place.write({"conditions": []})
    assert "waits    waiting for the operator to take it up" in place.run("describe", "hello")[1]


def test_json_has_advice_beside_each_condition(place: Place) -> None:
    place.apply(status=failed("LLMRateLimited", "429"))
    told = place.json("describe", "hello")
    assert told["status"]["conditions"][0]["who"] == "an administrator"
    assert told["status"]["conditions"][0]["retry"] is True
    assert (told["over"], told["next"], told["pod"]) == (True, "retry", None)


def test_texts_of_others_move_no_cursor(place: Place) -> None:
    place.apply(status=failed("LLMRefused", "\x1b[2Jgone\nSucceeded True", reply="\x1b]0;title\x07"))
    _, out, _ = place.run("describe", "hello")
    assert "\x1b" not in out and "\x07" not in out
    assert "\\x1b[2Jgone\\nSucceeded True" in out


def test_a_reason_of_a_newer_version(place: Place) -> None:
    place.apply(status=failed("Bewitched", "by a newer operator"))
    code, out, _ = place.run("describe", "hello")
    assert code == 0
    assert "Bewitched, for" in out


def test_who_may_see_less_is_told_so(place: Place) -> None:
    place.apply(status=failed("LLMRateLimited", "429", jobName="avs-x-1"))
    role = {"apiGroups": ["avatars.dev"], "resources": ["avatarsessions"], "verbs": ["get"]}
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{place.namespace}"
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "looker"}}
    place.cluster.rest.post(f"{rbac}/roles", {**kind, "kind": "Role", "rules": [role]})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "looker"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looker"}
    bound = {**kind, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    place.cluster.rest.post(f"{rbac}/rolebindings", bound)
    looker = place.config(place.cluster.kubeconfig("looker"))
    code, out, _ = place.run("describe", "hello", config=looker)
    assert code == 0
    assert "You may not see: Jobs, pods, Events." in out
    code, _, err = place.run("retry", "hello", config=looker)
    assert code == 25
    assert 'cannot patch resource "avatarsessions"' in err
    assert place.session()["spec"].get("retry", 0) == 0
