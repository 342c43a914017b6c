"""`python -m avatar_operator.retire`: run by `helm uninstall` first, so that nothing waits for who is gone.

The operator is ended first, so nobody else writes. Then its Jobs go, then, once no pod of theirs is left, the
finalizers of sessions and avatars. Sessions and their videos stay: an operator that is installed again takes
them up, and without one they can be deleted. With `--everything` the operator deletes them, before it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from avatar_core.cluster.kube import ConflictError, GoneError, Kube, KubeError
from avatar_core.errors import AvatarError
from avatar_core.logs import configure_logs
from avatar_core.signals import end_when_told
from avatar_operator.names import COMPONENT, FINALIZER, IN_USE
from avatar_operator.paths import OURS, collection, one

log = logging.getLogger(__name__)
Json = dict[str, Any]

OWNED = ("avatarsessions", "avatars")
LOOK_SECONDS = 1
PATIENCE_SECONDS = 240
"""Helm itself waits five minutes."""


@dataclass(frozen=True)
class Release:
    """What is to be uninstalled.

    Attributes:
        namespace: of the operator.
        name: of its Deployment.
        instance: of the release, as its labels say it.
        served: namespaces whose sessions were served; none: all.
    """

    namespace: str
    name: str
    instance: str
    served: Sequence[str] = ()

    @property
    def places(self) -> list[str | None]:
        """Namespaces to look into; None stands for all."""
        return [*sorted({*self.served, self.namespace})] if self.served else [None]

    @property
    def operators(self) -> str:
        """The label selector of the operator's own pods."""
        return f"app.kubernetes.io/instance={self.instance},{COMPONENT}=operator"


async def retire(kube: Kube, release: Release, patience: float, *, everything: bool = False) -> None:
    """Leaves nothing that waits for the operator.

    Args:
        kube: whom to ask, as somebody who may do all this.
        release: whose operator it was.
        patience: seconds for the whole.
        everything: sessions and avatars are deleted, by the operator while it is there.

    Raises:
        KubeError: refused or not answered, or something would not go in time.
    """
    until = time.monotonic() + patience
    if everything:
        for plural in OWNED:
            await _delete_all(kube, release, plural, {})
            await _until_none(kube, release.places, plural, {}, until)
    await _end_operator(kube, release)
    await _until_none(kube, [release.namespace], "pods", {"labelSelector": release.operators}, until)
    await _delete_all(kube, release, "jobs", {"labelSelector": OURS})
    for plural in ("jobs", "pods"):
        await _until_none(kube, release.places, plural, {"labelSelector": OURS}, until)
    for plural in OWNED:
        async for item in _all(kube, release.places, plural, {}):
            await _let_go(kube, plural, item)


async def _end_operator(kube: Kube, release: Release) -> None:
    path = f"/apis/apps/v1/namespaces/{release.namespace}/deployments/{release.name}/scale"
    try:
        await kube.patch(path, {"spec": {"replicas": 0}})
        log.info("the operator ends")
    except GoneError:
        log.info("there is no operator")


async def _delete_all(kube: Kube, release: Release, plural: str, query: dict[str, str]) -> None:
    async for item in _all(kube, release.places, plural, query):
        about = item["metadata"]
        log.info("%s %s/%s is deleted", plural, about["namespace"], about["name"])
        await kube.delete(one(plural, about["namespace"], about["name"]), about["uid"])


async def _until_none(
    kube: Kube, places: Sequence[str | None], plural: str, query: dict[str, str], until: float
) -> None:
    while left := [item["metadata"]["name"] async for item in _all(kube, places, plural, query)]:
        if time.monotonic() > until:
            raise KubeError(0, "StillThere", f"{plural} would not go: {', '.join(left[:5])}")
        await asyncio.sleep(LOOK_SECONDS)


async def _let_go(kube: Kube, plural: str, item: Json) -> None:
    """Takes our finalizers off; others' stay."""
    about = item["metadata"]
    path = one(plural, about["namespace"], about["name"])
    while set(about.get("finalizers", ())) & {FINALIZER, IN_USE}:
        others = [each for each in about["finalizers"] if each not in {FINALIZER, IN_USE}]
        guard = {"uid": about["uid"], "resourceVersion": about["resourceVersion"]}
        try:
            await kube.patch(path, {"metadata": {**guard, "finalizers": others}})
            return
        except GoneError:
            return
        except ConflictError:  # its author changed it meanwhile
            try:
                about = (await kube.get(path))["metadata"]
            except GoneError:
                return


async def _all(
    kube: Kube, places: Sequence[str | None], plural: str, query: dict[str, str]
) -> AsyncIterator[Json]:
    """Metadata of all objects of a kind; none where the kind itself is not there."""
    for place in places:
        try:
            async for item in kube.list(collection(plural, place), query, only_metadata=True):
                yield item
        except GoneError:
            continue


async def _main(release: Release, patience: float, *, everything: bool) -> None:
    kube = await Kube.connect(50, 100)
    try:
        await retire(kube, release, patience, everything=everything)
    finally:
        await kube.close()


def main() -> None:
    """Reads the command line; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_operator.retire", description=__doc__)
    parser.add_argument("--namespace", required=True, help="of the operator")
    parser.add_argument("--name", required=True, help="of its Deployment")
    parser.add_argument("--instance", required=True, help="name of the release")
    parser.add_argument("--served", action="append", default=[], help="a namespace of sessions; else all")
    parser.add_argument("--everything", action="store_true", help="sessions and avatars too")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS")
    given = parser.parse_args()
    end_when_told()
    configure_logs()
    release = Release(given.namespace, given.name, given.instance, given.served)
    try:
        asyncio.run(_main(release, given.patience, everything=given.everything))
    except AvatarError as error:
        print(error, file=sys.stderr)
        sys.exit(error.info.exit_code)


if __name__ == "__main__":
    main()
