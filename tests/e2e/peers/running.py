"""Started, stopped, and known to sessions by AvatarProviders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import eventually
from tests.cluster.node import NodeCluster
from tests.cluster.node.images import write_image
from tests.cluster.programs import NODE_RELEASES
from tests.cluster.tools import find_tools
from tests.e2e.commands import Shell
from tests.e2e.peers import manifests
from tests.e2e.peers.manifests import CHAT_PORT, KEY, NAMESPACE, VOICE_PORT
from tests.support.peers import VERSITYGW, tool

Json = dict[str, Any]
STARTING_SECONDS = 120


@dataclass
class Peers:
    """Their namespace.

    Attributes:
        shell: of an administrator.
    """

    shell: Shell

    def start(self, objects: Iterable[Json], name: str) -> None:
        """Applies what a server is made of and waits until it takes connections."""
        self.shell.apply(yaml.safe_dump_all(objects), NAMESPACE)
        self.scale(name, 1)

    def scale(self, name: str, replicas: int) -> None:
        """Starts or ends a server."""
        self.shell.kubectl("scale", "-n", NAMESPACE, f"deployment/{name}", f"--replicas={replicas}")

        def settled() -> bool:
            pods = self.shell.get("pods", "-n", NAMESPACE, "-l", f"app={name}")["items"]
            ready = [c for pod in pods for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
            return len(pods) == replicas and [each["status"] for each in ready] == ["True"] * replicas

        assert eventually(settled, seconds=STARTING_SECONDS)

    def introduce(self, namespace: str) -> None:
        """Makes providers there: `default` with good models, and one for each thing that may be wrong."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
        keys = {"good": KEY, "wrong": "sk-is-not-the-key"}
        providers = {
            "default": provider("good", "good"),
            "slow": provider("slow", "good"),
            "limited": provider("limited", "good"),
            "wrong-key": provider("good", "wrong"),
        }
        documents = [
            {
                "apiVersion": "avatars.dev/v1alpha1",
                "kind": "AvatarProvider",
                "metadata": {"name": name},
                "spec": spec,
            }
            for name, spec in providers.items()
        ]
        self.shell.apply(yaml.safe_dump_all([{**secret, "stringData": keys}, *documents]), namespace)


def provider(model: str, key: str) -> Json:
    """Replies of one model, with one key; spoken by the speech server."""
    return {
        "llm": {
            "baseURL": f"http://chat.{NAMESPACE}.svc:{CHAT_PORT}/v1",
            "model": model,
            "apiKeySecretRef": {"name": "keys", "key": key},
        },
        "speech": {"type": "openai", "baseURL": f"http://voice.{NAMESPACE}.svc:{VOICE_PORT}/openai/v1"},
    }


def load_s3(node: NodeCluster, folder: Path) -> None:
    """Gives the node the image of the S3 server, made its one static file and a tool that looks around."""
    archive = folder / "versitygw.tar"
    programs = {"versitygw": tool(VERSITYGW), "toolbox": find_tools(NODE_RELEASES)["toolbox"]}
    write_image(archive, manifests.S3_IMAGE, programs, ["/versitygw"])
    node.load_image(archive)
    archive.unlink()
