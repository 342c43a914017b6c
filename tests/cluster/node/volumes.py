"""Volumes for claims: folders of the node, handed out and cleared away as a provisioner of a cloud does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.cluster.node.commands import NODE
from tests.cluster.rest import Rest, RestError

Json = dict[str, Any]

CLASS = "local"
_CLAIMS, _VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_LOOK_SECONDS = 0.2
_PATIENCE = 2


class LocalVolumes:
    """Binds claims of the default StorageClass until it is closed.

    Args:
        folder: gets a folder for each volume: root's alone to write, so pods need an fsGroup, as elsewhere.
    """

    def __init__(self, rest: Rest, folder: Path) -> None:
        self._rest, self._folder = rest, folder
        self._folder.mkdir()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="volumes", daemon=True)
        rest.post(_CLASSES, storage_class())
        self._thread.start()

    def close(self) -> None:
        """Hands out no more. May be called again."""
        self._closing.set()
        self._thread.join(_PATIENCE)  # longer it waits only for an API server that does not answer any more

    def _work(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            try:
                self._look()
            except RestError:  # a test may have stopped the API server
                continue

    def _look(self) -> None:
        volumes = self._rest.get(_VOLUMES)["items"]
        for claim in waiting(self._rest.get(_CLAIMS)["items"], volumes):
            made = volume(claim, self._folder)
            Path(made["spec"]["local"]["path"]).mkdir(exist_ok=True)
            self._rest.post(_VOLUMES, made)
        for name in released(volumes):
            self._rest.delete(f"{_VOLUMES}/{name}")
            shutil.rmtree(self._folder / name, ignore_errors=True)


def storage_class() -> Json:
    """The default one."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "tests.avatars.dev/local",
        "reclaimPolicy": "Delete",
    }


def volume(claim: Json, folder: Path) -> Json:
    """For one claim and no other: a folder of the node."""
    about, spec = claim["metadata"], claim["spec"]
    name = f"claim-{about['uid']}"
    on_the_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": spec["resources"]["requests"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": about["namespace"],
                "name": about["name"],
                "uid": about["uid"],
            },
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_the_node]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
        },
    }


def waiting(claims: Iterable[Json], volumes: Iterable[Json]) -> Iterator[Json]:
    """Claims that want a volume of ours and for which none was made."""
    served = {volume["spec"].get("claimRef", {}).get("uid") for volume in volumes}
    for claim in claims:
        ours = claim["spec"].get("storageClassName") == CLASS and not claim["spec"].get("volumeName")
        if ours and claim["metadata"]["uid"] not in served:
            yield claim


def released(volumes: Iterable[Json]) -> list[str]:
    """Names of volumes of ours whose claims are gone."""
    return [
        volume["metadata"]["name"]
        for volume in volumes
        if volume["spec"].get("storageClassName") == CLASS
        and volume.get("status", {}).get("phase") == "Released"
    ]
