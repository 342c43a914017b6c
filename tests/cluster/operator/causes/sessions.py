"""What a session waits for or is told to do, how it succeeds, and what becomes of its video."""

from __future__ import annotations

from typing import Any

from tests.cluster.operator.causes.cluster import BOTH, ENDS, START, WAITS
from tests.cluster.operator.causes.stage import Act, Await, Cause, Scene, Steps
from tests.cluster.pod_states import RUNNING, Json, ended

from avatar_core.errors import Reason

API = "/apis/avatars.dev/v1alpha1/namespaces/{}/{}"
CAUSES: list[Cause] = []


def cause(reason: Reason, truths: tuple[str, ...], **more: Any) -> Any:
    """Puts a function into the table; the session is named after it."""

    def put(act: Act) -> Act:
        CAUSES.append(Cause(reason, act, act.__name__.replace("_", "-"), truths, **more))
        return act

    return put


# what it names


@cause(Reason.AVATAR_NOT_FOUND, BOTH, words="Avatar nobody")
def an_avatar_that_is_not_there(scene: Scene) -> None:
    scene.apply(avatarRef={"name": "nobody"}, startTimeoutSeconds=START)


@cause(Reason.AVATAR_NOT_READY, BOTH, words="Avatar unready is not ready")
def an_avatar_that_is_not_ready(scene: Scene) -> None:
    """Nobody plays the pod that prepares it."""
    _make(scene, "Avatar", "unready", {"source": {"url": "https://example.invalid/a.png"}})
    scene.apply(avatarRef={"name": "unready"}, startTimeoutSeconds=START)


@cause(Reason.PROVIDER_NOT_FOUND, BOTH, words="AvatarProvider nobody")
def a_provider_that_is_not_there(scene: Scene) -> None:
    scene.apply(prompt="Who?", providerRef={"name": "nobody"}, startTimeoutSeconds=START)


@cause(Reason.PROVIDER_NOT_FOUND, BOTH, words="has no `llm`")
def a_provider_without_an_llm(scene: Scene) -> Steps:
    path = _make(scene, "AvatarProvider", "speaks-only", {"speech": {"type": "espeak"}})
    rest = scene.world.cluster.rest
    yield Await("the operator knows the provider", lambda: rest.get(path).get("status"))
    scene.apply(prompt="Who?", providerRef={"name": "speaks-only"}, startTimeoutSeconds=START)


@cause(Reason.PROVIDER_NOT_READY, BOTH, words="AvatarProvider unready is not ready: spec.llm.baseURL")
def a_provider_that_is_not_ready(scene: Scene) -> Steps:
    llm = {"model": "m", "baseURL": "http://models.example/v1", "apiKeySecretRef": {"key": "key"}}
    path = _make(scene, "AvatarProvider", "unready", {"llm": llm})
    scene.apply(prompt="Who?", providerRef={"name": "unready"}, startTimeoutSeconds=START)

    def insecure() -> bool:
        status = scene.world.cluster.rest.get(path).get("status", {})
        return any(c["reason"] == Reason.INSECURE_URL for c in status.get("conditions", ()))

    yield Await("the provider's own condition", insecure)


@cause(Reason.PROVIDER_NOT_FOUND, WAITS, words="AvatarProvider later")
def a_provider_that_comes(scene: Scene) -> Steps:
    scene.apply(prompt="Who?", providerRef={"name": "later"})
    yield scene.shows("Unknown", Reason.PROVIDER_NOT_FOUND)
    yield scene.counted(Reason.PROVIDER_NOT_FOUND)
    key = {"name": "llm", "key": "key"}
    _make(scene, "AvatarProvider", "later", {"llm": {"model": "some", "apiKeySecretRef": key}})
    yield scene.pod()
    path = f"/api/v1/namespaces/{scene.world.namespace}/pods/{scene.pod_names()[0]}"
    container = scene.world.cluster.rest.get(path)["spec"]["containers"][0]
    environment = {e["name"]: e for e in container["env"]}
    assert environment["AVATAR_LLM_API_KEY"]["valueFrom"]["secretKeyRef"] == key


@cause(Reason.HISTORY_NOT_FOUND, BOTH, words="AvatarSession never-was")
def a_history_that_is_not_there(scene: Scene) -> None:
    scene.apply(continueFrom={"name": "never-was"}, startTimeoutSeconds=START)


@cause(Reason.HISTORY_NOT_READY, BOTH, words="AvatarSession paused has not finished yet")
def a_history_that_is_not_over(scene: Scene) -> None:
    scene.world.apply("paused", suspend=True)
    scene.apply(continueFrom={"name": "paused"}, startTimeoutSeconds=START)


# what it is told


@cause(Reason.SUSPENDED, WAITS, words="spec.suspend")
def suspended_and_let_go_on(scene: Scene) -> Steps:
    scene.pods(RUNNING)
    scene.apply()
    yield scene.shows("Unknown", "Running")
    scene.world.change(scene.name, suspend=True)
    yield scene.shows("Unknown", Reason.SUSPENDED)
    yield scene.counted(Reason.SUSPENDED)
    yield Await("its pods are gone", lambda: not scene.pod_names())
    scene.world.change(scene.name, suspend=False)
    yield scene.pod(2)


@cause(Reason.CANCELLED, ENDS, words="spec.cancel")
def cancelled(scene: Scene) -> Steps:
    scene.pods(RUNNING)
    scene.apply()
    yield scene.shows("Unknown", "Running")
    scene.world.change(scene.name, cancel=True)
    yield Await("its pods are gone", lambda: not scene.pod_names())


@cause(Reason.QUEUED, WAITS, words="Kueue holds Job")
def held_by_kueue(scene: Scene) -> Steps:
    """A policy does what Kueue's webhook does, and the test lets the Job go as Kueue does."""
    scene.pods(RUNNING)
    labels = {"kueue.x-k8s.io/queue-name": "gpu"}
    session = {"apiVersion": "avatars.dev/v1alpha1", "kind": "AvatarSession"}
    session |= {"metadata": {"name": scene.name, "labels": labels}, "spec": {"text": "Hello."}}
    scene.world.cluster.rest.post(scene.path.rpartition("/")[0], session)
    yield scene.shows("Unknown", Reason.QUEUED)
    yield scene.counted(Reason.QUEUED)
    [job] = scene.world.jobs_of(scene.name)
    assert (job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], job["spec"]["suspend"]) == ("gpu", True)
    path = f"/apis/batch/v1/namespaces/{scene.world.namespace}/jobs/{job['metadata']['name']}"
    scene.world.cluster.rest.patch(path, {"spec": {"suspend": False}})
    yield scene.shows("Unknown", "Running")


# its video


def _published(scene: Scene, **spec: Any) -> Steps:
    """The happy path."""
    scene.pods(RUNNING)
    scene.apply(**spec)
    yield scene.shows("Unknown", "Running")
    pod = scene.pod_names()[0]
    operator, token = scene.stage.operator, scene.world.token(pod)
    receipt = scene.world.receipt(scene.name)
    yield Await("the result is taken", lambda: operator.post("result", token, receipt)[0] == 202)
    yield scene.shows("True", "Succeeded")
    yield scene.shows("True", "Published", "VideoAvailable")
    scene.stage.kubelet.play(pod, ended(0))


@cause(Reason.VIDEO_EXPIRED, ENDS, kind="VideoAvailable", words="1 s after it was made")
def a_video_that_expires(scene: Scene) -> Steps:
    yield from _published(scene, videoTTLSeconds=1)
    yield scene.shows("False", Reason.VIDEO_EXPIRED, "VideoAvailable")
    assert "url" not in scene.told.statuses[-1]["video"]


@cause(Reason.CLEANUP_FAILED, WAITS, kind="VideoAvailable", words="Job avatar-cleanup-", slow=True)
def a_clean_up_that_fails_once(scene: Scene) -> Steps:
    yield from _published(scene, videoTTLSeconds=4)
    scene.stage.unclean[scene.world.session(scene.name)["metadata"]["uid"]] = ""
    yield scene.shows("Unknown", Reason.CLEANUP_FAILED, "VideoAvailable")
    yield scene.shows("False", Reason.VIDEO_EXPIRED, "VideoAvailable")


def _make(scene: Scene, kind: str, name: str, spec: Json) -> str:
    """A resource; the path to it."""
    path = API.format(scene.world.namespace, f"{kind.lower()}s")
    document = {"apiVersion": "avatars.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    scene.world.cluster.rest.post(path, document)
    return f"{path}/{name}"
