"""What a kubelet gives a container before it starts: environment, command line, files and tokens."""

from __future__ import annotations

import os
import re
import sys
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.pod_states import Json
from tests.cluster.rest import RestError

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z0-9_.-]+)\))")
_ANNOTATION = re.compile(r"metadata\.annotations\['(.+)'\]")
_OWN = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
"""Of this process: what an image would bring."""


class ConfigError(Exception):
    """The container can't be configured; the message is a kubelet's."""


@dataclass(frozen=True)
class Container:
    """A process that is ready to be started.

    Attributes:
        command: with this interpreter for `python`, and the options that say where its files are.
        environment: all of it.
        message: where it leaves its termination message.
    """

    command: list[str]
    environment: dict[str, str]
    message: Path


@dataclass
class PodFiles:
    """A folder that stands for a pod's file system.

    Attributes:
        cluster: where Secrets and tokens come from.
        pod: as the API server has it.
        folder: this pod's own.
        overrides: environment that wins, for what a test breaks between pod and world.
    """

    cluster: Cluster
    pod: Json
    folder: Path
    overrides: Mapping[str, str] = field(default_factory=dict)

    def container(self) -> Container:
        """The pod's only container.

        Raises:
            ConfigError: a Secret or a key in it is missing.
        """
        (spec,) = self.pod["spec"]["containers"]
        environment = self._environment(spec) | dict(self.overrides)
        for name in ("tmp", "etc", "tokens"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        places = {volume["name"]: self._volume(volume) for volume in self.pod["spec"]["volumes"]}
        command = [_expanded(word, environment) for word in spec["command"]]
        if command[0] == "python":
            command[0] = sys.executable
        message = self.folder / "termination-log"
        message.write_bytes(b"")
        module = command[2] if command[1] == "-m" else ""
        if module in ("avatar_session", "avatar_session.prepare"):
            name = spec["name"]
            document, tokens = places[name] / f"{name}.json", places["tokens"]
            command += ["--document", str(document), "--tokens", str(tokens)]
            command += ["--termination-message", str(message)]
        elif module == "avatar_session.empty_folders":
            command += ["--folders", str(places["folders"] / "folders.json")]
        image = {name: value for name, value in os.environ.items() if name in _OWN or "COVERAGE" in name}
        own = {"HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp"), "OMP_NUM_THREADS": "1"}
        return Container(command, {**image, **own, **environment}, message)

    def _environment(self, spec: Json) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in spec.get("envFrom", ()):
            found |= self._secret(source["secretRef"]["name"])
        for entry in spec.get("env", ()):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference is None:
                found[entry["name"]] = _expanded(entry.get("value", ""), found)
                continue
            secret = self._secret(reference["name"])
            if reference["key"] not in secret:
                where = f"{self._namespace}/{reference['name']}"
                raise ConfigError(f"couldn't find key {reference['key']} in Secret {where}")
            found[entry["name"]] = secret[reference["key"]]
        return found

    def _secret(self, name: str) -> dict[str, str]:
        try:
            secret = self.cluster.rest.get(f"/api/v1/namespaces/{self._namespace}/secrets/{name}")
        except RestError as error:
            if error.code != 404:
                raise
            raise ConfigError(f'secret "{name}" not found') from None
        return {key: b64decode(value).decode() for key, value in secret.get("data", {}).items()}

    def _volume(self, volume: Json) -> Path:
        """Fills a volume and returns its folder."""
        folder = self.folder / ("tokens" if "projected" in volume else "etc")
        for item in volume.get("downwardAPI", {}).get("items", ()):
            named = _ANNOTATION.fullmatch(item["fieldRef"]["fieldPath"])
            assert named
            (folder / item["path"]).write_text(self.pod["metadata"]["annotations"][named[1]])
        for source in volume.get("projected", {}).get("sources", ()):
            token = source["serviceAccountToken"]
            (folder / token["path"]).write_text(self._token(token["audience"]))
        return self.folder / "tmp" if "emptyDir" in volume else folder

    def _token(self, audience: str) -> str:
        account, name = self.pod["spec"]["serviceAccountName"], self.pod["metadata"]["name"]
        return self.cluster.token(self._namespace, account, audience=audience, pod=name)

    @property
    def _namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` of a known name becomes its value, `$$` a dollar sign, as in Kubernetes."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else environment.get(found[2], found[0])

    return _REFERENCE.sub(value, text)


def exit_code(returned: int) -> int:
    """As a container runtime tells it: 128 and the signal's number for a killed process."""
    return returned if returned >= 0 else 128 - returned


def last_words(message: Path, room: int = 4096) -> str:
    """What a kubelet keeps of a termination message: its end."""
    return message.read_bytes()[-room:].decode(errors="replace")
