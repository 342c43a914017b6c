"""Which cluster and namespace, as kubectl's flags say it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask; what is None is as kubectl would take it.

    Attributes:
        kubeconfig: instead of $KUBECONFIG or ~/.kube/config.
        context: instead of the current one.
        namespace: instead of the context's.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None

    def flags(self) -> str:
        """The same as flags, so that a command that is shown can be typed again; "" or " -n team"."""
        given = {"--kubeconfig": self.kubeconfig, "--context": self.context, "-n": self.namespace}
        return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in given.items() if value)
