"""The controllers behind a fake API: garbage collection and Jobs, one round at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.fake_cluster import Cluster, Pod

from avatar_operator.decision import Deletion
from avatar_operator.jobs import BACKOFF_LIMIT
from avatar_operator.objects import JobView, PodView
from avatar_operator.pods import FINAL_EXIT_CODES


def control(cluster: Cluster) -> None:
    """Garbage collector and Job controller, one round."""
    for job in list(cluster.jobs.values()):
        if job.owner_uid not in cluster.sessions:
            cluster.delete(Deletion("Job", job.name, job.uid))
    uids = {job.uid for job in cluster.jobs.values()}
    for name, pod in list(cluster.pods.items()):
        if pod.view.job_uid not in uids:
            if pod.view.over:
                cluster.changed("pod", cluster.pods.pop(name).session)
            else:
                cluster.delete_pod(name)
    for job in list(cluster.jobs.values()):
        if not job.finished and not job.suspended:
            _control_job(cluster, job)


def _control_job(cluster: Cluster, job: JobView) -> None:
    pods = [pod for pod in cluster.pods.values() if pod.view.job_uid == job.uid]
    alive = [pod for pod in pods if not pod.view.over]
    failed = [pod.view for pod in pods if pod.view.phase == "Failed" and not pod.view.disrupted]
    if cluster.now >= (job.started or job.created) + cluster.deadlines[job.name]:
        for pod in alive:
            cluster.delete_pod(pod.view.name)
        if not alive:
            _finish(cluster, job, "Failed", "DeadlineExceeded")
    elif alive:
        return
    elif any(pod.view.phase == "Succeeded" for pod in pods):
        _finish(cluster, job, "Complete", "")
    elif any(pod.container.exit_code in FINAL_EXIT_CODES for pod in failed):
        _finish(cluster, job, "Failed", "PodFailurePolicy")
    elif len(failed) > BACKOFF_LIMIT:
        _finish(cluster, job, "Failed", "BackoffLimitExceeded")
    elif cluster.quota_full:
        cluster.refused[job.name] = "pods is forbidden: exceeded quota: small, requested: pods=1"
    else:
        name = cluster.new("pod")
        view = PodView(name, name, job.uid, int(cluster.now))
        cluster.pods[name] = Pod(view, job.owner_uid)
        cluster.changed("pod", job.owner_uid)


def _finish(cluster: Cluster, job: JobView, how: Any, why: str) -> None:
    cluster.jobs[job.name] = replace(job, finished=how, failure=why)
    cluster.changed("job", job.owner_uid)
