"""Whose post it is: the pod that a token names leads to its Job, and that to its session."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_core.cluster.kube import GoneError, Kube
from avatar_core.cluster.tokens import Caller, CallerError
from avatar_operator.cache import Cache
from avatar_operator.names import SESSION_UID
from avatar_operator.objects import JobView, SessionView
from avatar_operator.paths import one


@dataclass(frozen=True, slots=True)
class Poster:
    """A session and the Job of its whose pod posts."""

    session: SessionView
    job: JobView


async def find_poster(caller: Caller, cache: Cache, kube: Kube) -> Poster:
    """The session that a pod works for: pod, the Job that controls it, the session that controls that.

    Raises:
        CallerError: 403, the pod works for no session; 503, its Job has not been seen yet.
        KubeError: the API server does not answer.
    """
    pod = cache.pod(caller.pod_uid)
    if pod is None:
        # It may post sooner than a watch tells of it.
        try:
            document = await kube.get(one("pods", caller.namespace, caller.pod))
        except GoneError:
            raise CallerError(403, "there is no such pod") from None
        if document["metadata"]["uid"] != caller.pod_uid or SESSION_UID not in document["metadata"].get(
            "labels", {}
        ):
            raise CallerError(403, "the pod is none of a session")
        cache.put("pods", document)
        pod = cache.pod(caller.pod_uid)
    job = cache.job(pod.job_uid) if pod else None
    if pod is not None and pod.job_uid and job is None:
        raise CallerError(503, "the pod's Job is not known yet", retry_after=1)
    session = cache.session(job.view.owner_uid) if job and isinstance(job.view, JobView) else None
    if job is None or session is None or not isinstance(job.view, JobView):
        raise CallerError(403, "the pod's Job is none of a session")
    if job.namespace != caller.namespace or session.namespace != caller.namespace:
        raise CallerError(403, "the pod's Job is none of a session of its namespace")
    return Poster(session, job.view)
