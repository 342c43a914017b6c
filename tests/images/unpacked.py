"""An image as files, and processes in it: first of a container, as the image's user, nothing writable."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A mount namespace of its own, so nothing stays mounted; /tmp is the emptyDir that our pods have.
_ENTER = """set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$USERSPEC" "$root" "$@"
"""


@dataclass(frozen=True)
class Unpacked:
    """One image.

    Attributes:
        root: its files.
        layers: sizes in bytes by digest, from the base up.
        config: user, environment, labels and so on.
    """

    root: Path
    layers: Mapping[str, int]
    config: Mapping[str, Any]

    @classmethod
    def of(cls, archive: Path, root: Path) -> Unpacked:
        """Unpacks a Docker archive."""
        with tarfile.open(archive) as outer:
            manifest = json.loads(_read(outer, "manifest.json"))[0]
            config = json.loads(_read(outer, manifest["Config"]))["config"]
            layers = {name: outer.getmember(name).size for name in manifest["Layers"]}
        root.mkdir(parents=True)
        for name in layers:
            # The program keeps owners and modes, and is ten times as quick.
            with subprocess.Popen(
                ["tar", "--extract", "--to-stdout", "--file", archive, name], stdout=subprocess.PIPE
            ) as read:
                subprocess.run(["tar", "--extract", "--directory", root], stdin=read.stdout, check=True)
        return cls(root, layers, config)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """A process in it; `unshare` is its parent, and passes its exit code on."""
        variables = dict(pair.split("=", 1) for pair in self.config["Env"])
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh"]
        return subprocess.Popen(
            [*enter, self.root, *command],
            env={**variables, **environment, "USERSPEC": self.config["User"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """The same, waited for."""
        with self.start(*command) as running:
            out, err = running.communicate(timeout=120)
        return subprocess.CompletedProcess(command, running.returncode, out, err)


def _read(outer: tarfile.TarFile, name: str) -> bytes:
    found = outer.extractfile(name)
    assert found is not None
    return found.read()
