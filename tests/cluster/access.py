"""Credentials of a cluster's users, and clients that use them."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tests.cluster.commands import kubeconfig
from tests.cluster.pki import Authority
from tests.cluster.rest import Rest

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

ADMIN, MASTERS = "admin", "system:masters"


class Access:
    """Writes what proves who one is into a folder, once a user.

    Args:
        folder: holds ca.crt; gets keys and kubeconfigs, readable by this user only.
        authority: signs the users' certificates.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._ca, self._users, self._authority = folder / "ca.crt", folder / "users", authority
        self._users.mkdir(mode=0o700)
        self._lock = threading.Lock()

    def kubeconfig(self, url: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for a user with a client certificate."""
        certificate, key = self._certificate(user, groups)
        return self._write(url, {"client-certificate": str(certificate), "client-key": str(key)})

    def token_kubeconfig(self, url: str, token: str) -> Path:
        """A kubeconfig for whoever a bearer token belongs to."""
        return self._write(url, {"token": token})

    def rest(self, url: str, user: str, groups: Sequence[str] = ()) -> Rest:
        """Plain requests of a user."""
        tls = ssl.create_default_context(cafile=str(self._ca))
        tls.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
        tls.load_cert_chain(*self._certificate(user, groups))
        return Rest(url, tls)

    def client(self, kubeconfig: Path) -> ApiClient:
        """The official client's configuration and connections."""
        from kubernetes import config

        client: ApiClient = config.new_client_from_config(str(kubeconfig))
        return client

    def _certificate(self, user: str, groups: Sequence[str]) -> tuple[Path, Path]:
        """Files of a user's certificate and key."""
        groups = (MASTERS,) if user == ADMIN and not groups else groups
        stem = self._users / _file_name(user, *groups)
        certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
        with self._lock:
            if not key.exists():
                identity = self._authority.client(user, groups)
                certificate.write_bytes(identity.certificate)
                key.write_bytes(identity.key)
        return certificate, key

    def _write(self, url: str, credentials: Mapping[str, str]) -> Path:
        path = self._users / f"{_file_name(url, *credentials.values())}.kubeconfig"
        with self._lock:
            path.write_text(yaml.safe_dump(kubeconfig(url, self._ca, credentials)))
        return path


def _file_name(*identity: str) -> str:
    """Readable at its start, distinct at its end; names of users may hold colons and slashes."""
    readable = re.sub(r"[^a-z0-9]+", "-", identity[0].lower())[:40]
    return f"{readable}-{hashlib.sha256(chr(0).join(identity).encode()).hexdigest()[:8]}"
