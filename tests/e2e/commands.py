"""kubectl and helm, as a person runs them: against whatever cluster a kubeconfig names."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TIMEOUT = 300


class CommandError(Exception):
    """It failed; with what it said."""


@dataclass(frozen=True)
class Shell:
    """Runs programs with a kubeconfig.

    Attributes:
        kubectl, helm: the programs.
        kubeconfig: of an administrator.
        home: for their caches.
    """

    kubectl_program: Path
    helm_program: Path
    kubeconfig: Path
    home: Path

    def kubectl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What kubectl printed.

        Raises:
            CommandError: it failed.
        """
        return self._run(self.kubectl_program, *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> bytes:
        """What helm printed.

        Raises:
            CommandError: it failed.
        """
        return self._run(self.helm_program, *arguments)

    def get(self, *arguments: str) -> Json:
        """An object or a list."""
        found: Json = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def there(self, *arguments: str) -> Json | None:
        """An object; None when there is none."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def apply(self, manifest: Path | str | Json, namespace: str) -> None:
        """Applies a file, a text or a document."""
        if isinstance(manifest, Path):
            manifest = manifest.read_text()
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=text.encode())

    def _run(self, program: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        environment = {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
        }
        ran = subprocess.run(
            [str(program), *arguments],
            input=stdin,
            capture_output=True,
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
        if ran.returncode:
            said = ran.stderr.decode(errors="replace").strip()
            raise CommandError(f"{program.name} {' '.join(arguments[:4])}: {said}")
        return ran.stdout
