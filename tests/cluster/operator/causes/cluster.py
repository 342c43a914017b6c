"""What only a cluster can say: of pods, of those who refuse them, of time and of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.cluster import policies
from tests.cluster.operator.causes.places import KEEPS_SESSIONS
from tests.cluster.operator.causes.stage import PATIENCE_SECONDS, Act, Await, Cause, Scene, Steps
from tests.cluster.patience import eventually
from tests.cluster.pod_states import IMAGE_PULL_BACK_OFF, OOM_KILLED, RUNNING, Json, PodState, ended, waiting
from tests.cluster.rest import RestError

from avatar_core.errors import Reason
from avatar_operator.names import job_name

START = 30
"""Seconds in which a busy machine shows what is waited for."""
WAITS, ENDS, BOTH = ("Unknown",), ("False",), ("Unknown", "False")
CAUSES: list[Cause] = []


def cause(reason: Reason, truths: tuple[str, ...], **more: Any) -> Any:
    """Puts a function into the table; the session is named after it."""

    def put(act: Act) -> Act:
        CAUSES.append(Cause(reason, act, act.__name__.strip("_").replace("_", "-"), truths, **more))
        return act

    return put


# pods that don't start


@cause(Reason.IMAGE_PULL_BACK_OFF, BOTH, words="example.invalid/absent:1")
def an_image_that_is_not_there(scene: Scene) -> None:
    scene.pods(IMAGE_PULL_BACK_OFF)
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.SECRET_NOT_FOUND, BOTH, words='secret "llm" not found')
def a_secret_that_is_not_there(scene: Scene) -> None:
    scene.pods(waiting("CreateContainerConfigError", 'secret "llm" not found'))
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.SECRET_NOT_FOUND, BOTH, words="couldn't find key token")
def a_secret_without_that_key(scene: Scene) -> None:
    message = "couldn't find key token in Secret demo/llm"
    scene.pods(waiting("CreateContainerConfigError", message))
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.CONTAINER_CANNOT_START, BOTH, words="no such file")
def a_command_that_is_not_there(scene: Scene) -> None:
    scene.pods(waiting("CreateContainerError", "exec: python: no such file"))
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.START_TIMEOUT, ENDS, words="not running after 1 s")
def a_container_that_takes_too_long(scene: Scene) -> None:
    scene.pods(waiting("ContainerCreating"))
    scene.apply(startTimeoutSeconds=1)


# pods that run


@cause(Reason.DEADLINE_EXCEEDED, BOTH, words="after 15 s in stage render at 45 %", slow=True)
def a_hung_pod(scene: Scene) -> Steps:
    scene.pods(RUNNING)
    scene.apply(timeoutSeconds=15)
    yield scene.pod()
    news = {"stage": "render", "done": 9, "total": 20, "percent": 45}
    operator, token = scene.stage.operator, scene.world.token(scene.pod_names()[0])
    yield Await("progress is taken", lambda: operator.post("progress", token, news)[0] == 202)


@cause(Reason.OOM_KILLED, BOTH, words="memory", slow=True)
def out_of_memory_twice(scene: Scene) -> None:
    """The second pod lives until the first one's end was told, however busy the operator is."""
    lives: list[str] = []

    def life(pod: Json) -> Iterator[PodState]:
        lives.append(pod["metadata"]["name"])
        yield RUNNING
        if len(lives) > 1:
            eventually(lambda: scene.told.shown("Unknown", Reason.OOM_KILLED), seconds=PATIENCE_SECONDS)
        yield OOM_KILLED

    scene.script(life)
    scene.apply()


@cause(Reason.RESULT_LOST, ENDS, words="without a result")
def two_pods_that_say_nothing(scene: Scene) -> None:
    scene.pods(RUNNING, ended(0))
    scene.apply()


@cause(Reason.POD_FAILED, BOTH, words="exit code 69", slow=True)
def a_pod_that_claims_to_be_suspended(scene: Scene) -> None:
    scene.pods(RUNNING, ended(69, '{"reason": "Suspended", "message": "I say so"}'))
    scene.apply()


# those who refuse


@cause(Reason.QUOTA_EXCEEDED, BOTH, place="no-pods", words="exceeded quota")
def a_full_quota_of_pods(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.QUOTA_EXCEEDED, BOTH, place="no-jobs", words="exceeded quota")
def a_full_quota_of_jobs(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.QUOTA_EXCEEDED, WAITS, place="no-jobs-yet", words="exceeded quota")
def a_quota_that_is_raised(scene: Scene) -> Steps:
    scene.apply()
    yield scene.shows("Unknown", Reason.QUOTA_EXCEEDED)
    yield scene.counted(Reason.QUOTA_EXCEEDED)
    path = f"/api/v1/namespaces/{scene.world.namespace}/resourcequotas/none"
    scene.world.cluster.rest.patch(path, {"spec": {"hard": {"count/jobs.batch": "1"}}})
    yield scene.pod()
    yield scene.shows("Unknown", "Starting")


@cause(Reason.SERVICE_ACCOUNT_NOT_FOUND, BOTH, place="no-account", words='serviceaccount "avatar-session"')
def no_service_account(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.POD_REFUSED, BOTH, place="limits", words="maximum memory usage per Container is 64Mi")
def a_limit_range(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.POD_REFUSED, BOTH, words="pods of this kind are not wanted here")
def a_policy_against_its_pods(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.POD_REFUSED, BOTH, words="jobs of this kind are not wanted here")
def a_policy_against_its_jobs(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.POD_SECURITY_VIOLATION, BOTH, words="hostNetwork=true")
def a_policy_that_spoils_its_pods(scene: Scene) -> None:
    scene.apply(startTimeoutSeconds=START)


@cause(Reason.JOB_NAME_TAKEN, BOTH, words="belongs to something else")
def another_job_of_its_name(scene: Scene) -> Steps:
    uid = scene.apply(suspend=True, startTimeoutSeconds=START)["metadata"]["uid"]
    yield scene.shows("Unknown", Reason.SUSPENDED)
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    foreign: Json = {"metadata": {"name": job_name(uid, 1)}, "spec": {"suspend": True, "template": template}}
    path = f"/apis/batch/v1/namespaces/{scene.world.namespace}/jobs"
    scene.world.cluster.rest.post(path, {"apiVersion": "batch/v1", "kind": "Job", **foreign})
    scene.world.change(scene.name, suspend=False)


@cause(Reason.NAMESPACE_TERMINATING, BOTH, place="ending", events=False, words="is being deleted")
def a_namespace_that_can_not_go(scene: Scene) -> Steps:
    """Somebody's policy keeps sessions from being deleted, so theirs outlive their namespace's end."""
    scene.apply(suspend=True, startTimeoutSeconds=START)
    yield scene.shows("Unknown", Reason.SUSPENDED)
    namespace = f"/api/v1/namespaces/{scene.world.namespace}"
    rest = scene.world.cluster.rest
    rest.delete(namespace)
    scene.world.change(scene.name, suspend=False)
    yield scene.shows("False", Reason.NAMESPACE_TERMINATING)
    policies.lift(rest, "ValidatingAdmissionPolicy", KEEPS_SESSIONS.format(scene.world.namespace))
    yield Await("the namespace is gone", lambda: _gone(scene, namespace))


def _gone(scene: Scene, path: str) -> bool:
    try:
        scene.world.cluster.rest.get(path)
    except RestError as error:
        return error.code == 404
    return False
