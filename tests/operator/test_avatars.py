"""An avatar: every way to a bundle and to a reason, and that it stays while it is used."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.cluster.pod_states import ended
from tests.support.fake_operator import SETTINGS

from avatar_core.errors import REASONS, Reason
from avatar_operator.avatars.decide import reconcile_avatar
from avatar_operator.avatars.jobs import build_preparation
from avatar_operator.avatars.objects import AvatarObject, AvatarStatus, Decision, Finding, Prepared, Seen
from avatar_operator.avatars.preparing import retry_after, worth_retrying
from avatar_operator.avatars.reading import read_avatar, read_prepared, to_json, view_of
from avatar_operator.names import IN_USE, RESOLVED, preparation_name
from avatar_operator.objects import ContainerView, JobView, PodView, Report
from avatar_operator.observed import Refusals

NOW = 1_000_000
UID = "a1"
BUNDLE, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
PREPARED = Prepared(BUNDLE, 30, 512, 640, "preview", (Finding("SmallFace", "come closer", 0, 29),))


def avatar(status: AvatarStatus | None = None, generation: int = 1, **fields: Any) -> AvatarObject:
    given = {"finalizers": (IN_USE,), "document": '{"source":{"url":"https://x.example/f"}}', **fields}
    return AvatarObject("team", "face", UID, generation, status=status or AvatarStatus(), **given)


def job(attempt: int = 1, generation: int = 1, **fields: Any) -> JobView:
    name = preparation_name(UID, generation, attempt)
    given = {"created": NOW, "started": NOW, "generation": generation, **fields}
    return JobView(name, f"job-{generation}-{attempt}", UID, attempt, **given)


def pod(attempt: int = 1, number: int = 1, **fields: Any) -> PodView:
    name = f"pod-{attempt}-{number}"
    return PodView(name, name, f"job-1-{attempt}", **{"created": NOW + number, **fields})


def failed(code: int, reason: Reason | None = None, attempt: int = 1) -> PodView:
    report = Report(reason, "as it was") if reason else None
    ended = ContainerView(started_at=NOW, ended_at=NOW + 1, exit_code=code, report=report)
    return pod(attempt, phase="Failed", container=ended)


def decide(seen: Seen, after: float = 0) -> Decision:
    """What is decided in the end, on a live picture where one was asked for."""
    decision = reconcile_avatar(seen, SETTINGS, NOW + after)
    if decision.look:
        decision = reconcile_avatar(replace(seen, live=True), SETTINGS, NOW + after)
        assert not decision.look
    return decision


def then(seen: Seen, decision: Decision, **changes: Any) -> Seen:
    """The picture once a decision is done."""
    finalizers = (IN_USE,) if decision.add_finalizer else seen.avatar.finalizers
    known = replace(seen.avatar, status=decision.status or seen.avatar.status, finalizers=finalizers)
    return replace(seen, avatar=known, **changes)


def under_way(*pods: PodView) -> Seen:
    first = Seen(avatar())
    return then(first, decide(first), jobs=(job(),), pods=pods)


def shown(decision: Decision) -> tuple[str, str]:
    assert decision.status is not None
    ready = decision.status.ready
    assert ready is not None
    return ready.truth, ready.reason


def made() -> Seen:
    seen = replace(under_way(), prepared={"job-1-1": PREPARED})
    return then(seen, decide(seen, after=5))


def test_a_bundle_is_ready_at_once() -> None:
    seen = Seen(avatar(bundle=BUNDLE, finalizers=()))
    first = decide(seen)
    assert shown(first) == ("True", "Prepared")
    assert first.status is not None
    assert first.status.prepared == Prepared(BUNDLE)
    assert first.add_finalizer and first.create is None
    assert decide(then(seen, first), after=1000).empty


def test_a_source_is_prepared_by_a_job() -> None:
    seen = Seen(avatar(finalizers=()))
    assert reconcile_avatar(seen, SETTINGS, NOW).look
    first = decide(seen)
    assert first.create is not None and first.add_finalizer
    assert first.create["metadata"]["name"] == preparation_name(UID, 1, 1)
    assert shown(first) == ("Unknown", "Preparing")
    seen = then(seen, first, jobs=(job(),))
    assert decide(seen).wake_at == NOW + 2
    running = pod(phase="Running", ready="True", container=ContainerView(started_at=NOW))
    assert shown(decide(replace(seen, pods=(running,)))) == ("Unknown", "Preparing")
    seen = replace(seen, prepared={"job-1-1": PREPARED})
    last = decide(seen, after=5)
    assert shown(last) == ("True", "Prepared")
    assert last.status is not None and last.status.prepared == PREPARED
    assert [note.reason for note in last.notes] == ["Prepared"]
    seen = then(seen, last)
    assert decide(seen, after=6).empty
    assert decide(seen, after=6).wake_at == NOW + 305
    assert [gone.name for gone in decide(seen, after=305).deletes] == [job().name]
    assert decide(replace(seen, jobs=(), prepared={}), after=10_000) == Decision()


FINAL = [Reason.NO_FACE, Reason.SEVERAL_FACES, Reason.INVALID_PICTURE, Reason.SOURCE_MISMATCH]
AGAIN = [Reason.SOURCE_UNREACHABLE, Reason.INFERENCE_UNAVAILABLE, Reason.OVERLOADED]
MENDED_BY_OTHERS = [Reason.WEIGHTS_MISSING, Reason.UNAUTHENTICATED, Reason.INTERNAL]


@pytest.mark.parametrize("reason", FINAL)
def test_what_is_wrong_with_a_source_waits_for_another_spec(reason: Reason) -> None:
    seen = under_way(failed(REASONS[reason].exit_code, reason))
    first = decide(seen, after=2)
    assert shown(first) == ("False", reason)
    assert first.status is not None and first.status.ready is not None
    assert first.status.ready.message == f"as it was. {REASONS[reason].advice}"
    assert [note.type for note in first.notes] == ["Warning"]
    seen = then(seen, first)
    assert decide(seen, after=250).empty
    seen = then(seen, decide(seen, after=302), jobs=(), pods=())
    assert decide(seen, after=100_000) == Decision()
    changed = replace(seen, avatar=replace(seen.avatar, generation=2))
    second = decide(changed, after=100_000)
    assert second.create is not None
    assert second.create["metadata"]["name"] == preparation_name(UID, 2, 1)


@pytest.mark.parametrize("reason", MENDED_BY_OTHERS + AGAIN)
def test_what_may_go_better_is_tried_again_later_each_time(reason: Reason) -> None:
    code = REASONS[reason].exit_code
    assert worth_retrying(reason)
    seen, at = replace(under_way(failed(code, reason)), jobs=(job(finished="Failed"),)), 10
    for attempt in range(1, 9):
        over = decide(seen, after=at)
        assert shown(over) == ("False", reason)
        seen = then(seen, over)
        wait = retry_after(attempt)
        assert wait == min(3600, 60 * 2 ** (attempt - 1))
        assert decide(seen, after=at + wait - 1).create is None
        begun = decide(seen, after=at + wait)
        assert begun.create is not None
        assert [gone.name for gone in begun.deletes] == [job(attempt).name]
        at += wait + 10
        last = failed(code, reason, attempt + 1)
        seen = then(seen, begun, jobs=(job(attempt + 1, finished="Failed"),), pods=(last,))


def test_a_pod_that_is_tried_again_by_its_job_says_why() -> None:
    seen = under_way(failed(50, Reason.SOURCE_UNREACHABLE))
    assert shown(decide(seen, after=2)) == ("Unknown", Reason.SOURCE_UNREACHABLE)


@pytest.mark.parametrize("finished", ["Complete", "Failed"])
def test_a_job_that_says_nothing_is_made_again(finished: Any) -> None:
    pods = (pod(phase="Succeeded"),) if finished == "Complete" else ()
    seen = replace(under_way(*pods), jobs=(job(finished=finished),))
    over = decide(seen, after=5)
    assert shown(over) == ("False", Reason.RESULT_LOST)
    assert decide(then(seen, over), after=65).create is not None


def test_a_job_that_is_gone_is_made_again() -> None:
    seen = replace(under_way(), jobs=())
    over = decide(seen, after=5)
    assert shown(over) == ("False", Reason.RESULT_LOST)
    begun = decide(then(seen, over), after=65)
    assert begun.create is not None
    assert begun.create["metadata"]["name"] == preparation_name(UID, 1, 2)


def test_time_runs_out() -> None:
    late = job(finished="Failed", failure="DeadlineExceeded")
    ran = pod(phase="Failed", container=ContainerView(started_at=NOW, exit_code=137))
    assert shown(decide(replace(under_way(ran), jobs=(late,)))) == ("False", Reason.PREPARATION_TIMEOUT)
    waiting = under_way(pod(container=ContainerView(waiting="ImagePullBackOff")))
    seen = then(waiting, decide(waiting))
    over = decide(replace(seen, jobs=(late,), pods=()), after=1215)
    assert shown(over) == ("False", Reason.IMAGE_PULL_BACK_OFF)
    assert shown(decide(replace(under_way(), jobs=(late,)))) == ("False", Reason.START_TIMEOUT)


WAITS = [
    (Reason.UNSCHEDULABLE, pod(unschedulable="0/3 nodes are available")),
    (Reason.IMAGE_PULL_BACK_OFF, pod(container=ContainerView(waiting="ErrImagePull"))),
    (Reason.CONTAINER_CANNOT_START, pod(container=ContainerView(waiting="CreateContainerError"))),
    (Reason.NODE_LOST, pod(phase="Running", ready="Unknown")),
]


@pytest.mark.parametrize(("reason", "stuck"), WAITS)
def test_what_keeps_a_pod_from_running_is_shown_at_once(reason: Reason, stuck: PodView) -> None:
    seen = under_way(stuck)
    first = decide(seen, after=1)
    assert shown(first) == ("Unknown", reason)
    assert decide(then(seen, first), after=2).empty


def test_a_pod_that_was_never_made_has_its_events_read() -> None:
    seen = under_way()
    assert decide(seen, after=2).read_refusals == job().name
    message = 'pods "avp-x" is forbidden: exceeded quota: small'
    seen = replace(seen, refusals=Refusals(NOW + 2, message))
    assert shown(decide(seen, after=2)) == ("Unknown", Reason.QUOTA_EXCEEDED)


def test_a_pod_on_a_silent_node_is_let_go() -> None:
    stuck = pod(phase="Running", ready="Unknown", gone_by=NOW + 10, container=ContainerView(started_at=NOW))
    assert decide(under_way(stuck), after=12).deletes == ()
    (gone,) = decide(under_way(stuck), after=16).deletes
    assert (gone.kind, gone.grace) == ("Pod", 0)


def test_twice_out_of_memory() -> None:
    oom = [
        pod(number=n, phase="Failed", container=ContainerView(exit_code=137, end_reason="OOMKilled"))
        for n in (1, 2)
    ]
    over = decide(under_way(*oom), after=5)
    assert shown(over) == ("False", Reason.OOM_KILLED)
    assert [gone.kind for gone in over.deletes] == ["Job"]


def test_a_job_of_somebody_else_is_left_alone() -> None:
    foreign = replace(job(), owner_uid="somebody", generation=0, attempt=0)
    seen = Seen(avatar(), jobs=(foreign,))
    first = decide(seen)
    assert shown(first) == ("Unknown", Reason.JOB_NAME_TAKEN)
    assert first.create is None and first.deletes == () and first.wake_at == NOW + 30
    assert decide(then(seen, first, jobs=()), after=30).create is not None


def test_a_job_that_is_not_taken_says_why() -> None:
    seen = Seen(avatar(), job_refused="exceeded quota: jobs")
    first = decide(seen)
    assert shown(first) == ("Unknown", Reason.QUOTA_EXCEEDED)
    assert decide(then(seen, first, job_refused=""), after=2).create is not None


def test_a_job_that_was_not_recorded_is_known_again() -> None:
    adopted = decide(Seen(avatar(), jobs=(job(),)))
    assert adopted.create is None
    assert adopted.status is not None
    assert (adopted.status.attempt, adopted.status.job_name) == (1, job().name)


def test_another_spec_means_another_job_while_the_old_bundle_stays_known() -> None:
    seen = made()
    changed = replace(seen, avatar=replace(seen.avatar, generation=2))
    assert not view_of(changed.avatar).ready
    begun = decide(changed, after=50)
    assert begun.create is not None and begun.status is not None
    assert [gone.name for gone in begun.deletes] == [job().name]
    assert shown(begun) == ("Unknown", "Preparing")
    assert begun.status.prepared == PREPARED
    seen = then(changed, begun, jobs=(job(), job(1, 2)), prepared={"job-1-1": PREPARED})
    assert shown_now(seen) == ("Unknown", "Preparing")
    assert [gone.name for gone in decide(seen, after=51).deletes] == [job().name]
    newer = replace(PREPARED, bundle=OTHER)
    seen = replace(seen, jobs=(job(1, 2),), prepared={"job-2-1": newer})
    last = decide(seen, after=60)
    assert last.status is not None and last.status.prepared == newer


def shown_now(seen: Seen) -> tuple[str, str]:
    ready = seen.avatar.status.ready
    assert ready is not None
    return ready.truth, ready.reason


def test_from_a_source_to_a_bundle_and_back() -> None:
    seen = made()
    given = replace(seen, avatar=replace(seen.avatar, generation=2, bundle=OTHER))
    first = decide(given, after=50)
    assert shown(first) == ("True", "Prepared")
    assert first.status is not None and first.status.prepared == Prepared(OTHER)
    assert [gone.kind for gone in first.deletes] == ["Job"]
    back = then(given, first, jobs=())
    again = decide(replace(back, avatar=replace(back.avatar, generation=3, bundle="")), after=60)
    assert again.create is not None


def test_what_this_version_cannot_read_is_told_until_it_can() -> None:
    seen = Seen(avatar(invalid="spec.source: must be one"))
    first = decide(seen)
    assert shown(first) == ("False", Reason.INVALID_SPEC)
    known = then(seen, first)
    assert decide(known, after=999).empty
    assert decide(replace(known, avatar=replace(known.avatar, invalid="")), after=999).create is not None


def test_a_reason_of_a_newer_version_is_worth_another_attempt() -> None:
    status = decide(Seen(avatar())).status
    assert status is not None and status.ready is not None
    unknown = replace(status.ready, truth="False", reason="FromTheFuture", since=NOW)
    seen = Seen(avatar(replace(status, conditions=(unknown,))))
    assert decide(seen, after=1).create is None
    assert decide(seen, after=60).create is not None


def test_that_a_namespace_ends_is_looked_at_again() -> None:
    seen = Seen(avatar(), namespace_terminating=True)
    assert reconcile_avatar(seen, SETTINGS, NOW).look
    told = decide(seen)
    assert told.status is not None and told.status.ready is not None
    assert (told.status.ready.reason, told.wake_at) == (Reason.NAMESPACE_TERMINATING, NOW + 30)
    assert decide(replace(then(seen, told), namespace_terminating=False), after=30).create is not None


def test_an_avatar_in_use_stays() -> None:
    used = replace(made(), users=("a", "b", "c", "d", "e"))
    used = replace(used, avatar=replace(used.avatar, deleting=True))
    assert reconcile_avatar(used, SETTINGS, NOW).look  # whether the namespace goes too
    held = decide(used, after=50)
    assert not held.drop_finalizer and held.status is not None
    condition = held.status.condition("InUse")
    assert condition is not None
    assert condition.message == "it goes once a, b, c and 2 more are finished or deleted"
    assert [(note.type, note.reason) for note in held.notes] == [("Normal", "InUse")]
    assert [gone.kind for gone in held.deletes] == ["Job"]
    used = then(used, held, jobs=())
    assert decide(used, after=51).empty
    fewer = decide(replace(used, users=("e",)), after=52)
    assert fewer.status is not None and fewer.notes == ()
    assert decide(replace(used, users=()), after=52).drop_finalizer
    ending = replace(used, namespace_terminating=True)
    assert decide(ending, after=52).drop_finalizer
    assert reconcile_avatar(replace(ending, live=False), SETTINGS, NOW + 52).look
    gone = replace(used, avatar=replace(used.avatar, finalizers=("other/f",)))
    assert decide(gone, after=53) == Decision()


def test_an_unused_avatar_goes_at_once() -> None:
    seen = made()
    assert decide(replace(seen, avatar=replace(seen.avatar, deleting=True))).drop_finalizer


def test_its_job_is_restricted_and_carries_its_spec_as_data_alone() -> None:
    spec = json.dumps({"source": {"url": "https://x.example/$(HOME)"}})
    manifest = build_preparation(avatar(document=spec), 2, SETTINGS)
    labels = manifest["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "prepare"
    assert labels["app.kubernetes.io/managed-by"] == "avatar-operator"
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Avatar", UID, True)
    assert manifest["spec"]["activeDeadlineSeconds"] == 1215
    annotations = manifest["spec"]["template"]["metadata"].pop("annotations")
    assert json.loads(annotations[RESOLVED])["spec"]["source"]["url"] == "https://x.example/$(HOME)"
    assert "x.example" not in json.dumps(manifest)
    inside = manifest["spec"]["template"]["spec"]
    assert inside["automountServiceAccountToken"] is False
    (token,) = inside["volumes"][1]["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == SETTINGS.audiences.inference
    (container,) = inside["containers"]
    assert [entry["name"] for entry in container["env"]] == ["AVATAR_INFERENCE_ADDRESS"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_labels_of_a_long_name_hold() -> None:
    manifest = build_preparation(replace(avatar(), name="n" * 253), 1, SETTINGS)
    assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())


def document(status: AvatarStatus, generation: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "avatars.dev/v1alpha1",
        "kind": "Avatar",
        "metadata": {
            "name": "face",
            "namespace": "team",
            "uid": UID,
            "resourceVersion": "9",
            "generation": generation,
            "finalizers": [IN_USE],
        },
        "spec": {"source": {"url": "https://x.example/f"}},
        "status": to_json(status),
    }


def test_a_status_there_and_back() -> None:
    status = made().avatar.status
    found = read_avatar(document(status))
    assert found.status == status
    view = view_of(found)
    assert (view.ready, view.bundle) == (True, BUNDLE)
    stale = view_of(read_avatar(document(status, generation=2)))
    assert (stale.ready, stale.bundle) == (False, "")


def test_what_a_pod_says() -> None:
    told = {
        "bundle": BUNDLE,
        "pictures": 30,
        "width": 512,
        "height": 640,
        "engine": "preview",
        "findings": [{"reason": "SmallFace", "message": "come closer", "firstPicture": 0, "lastPicture": 29}],
        "newer": 1,
    }

    def said(message: str) -> Prepared | None:
        pod = {"spec": {"containers": [{"name": "prepare", "image": "i"}]}, "status": {}}
        return read_prepared({"status": ended(0, message).status(pod, "2026-01-02T03:04:05Z")})

    assert said(json.dumps({"avatar": told})) == PREPARED
    many = said(json.dumps({"avatar": {**told, "findings": told["findings"] * 50}}))
    assert many is not None and len(many.findings) == 32
    for wrong in ("", "{}", "[]", '{"avatar": 3}', json.dumps({"avatar": {**told, "bundle": "x"}})):
        assert said(wrong) is None
