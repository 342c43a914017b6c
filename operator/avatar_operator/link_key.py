"""`python -m avatar_operator.link_key --namespace NS --secret NAME`: makes the key of links, once.

A Secret of that name that is there already is left as it is, so links stay good.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
from base64 import b64encode

from avatar_core.cluster.kube import ConflictError, GoneError, Kube
from avatar_core.errors import AvatarError
from avatar_core.links import KEY_BYTES_MIN
from avatar_core.logs import configure_logs
from avatar_core.signals import end_when_told

log = logging.getLogger(__name__)


async def make_key(kube: Kube, namespace: str, name: str) -> bool:
    """Whether a Secret with a new key under `key` was made; False: there was one.

    Raises:
        KubeError: the API server does not answer, or refuses.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        await kube.get(f"{path}/{name}")
        return False
    except GoneError:
        pass
    key = b64encode(secrets.token_bytes(KEY_BYTES_MIN)).decode()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "avatar-operator"}},
        "type": "Opaque",
        "data": {"key": key},
    }
    try:
        await kube.create(path, secret)
    except ConflictError:  # made in the meantime
        return False
    return True


async def _main(namespace: str, name: str) -> None:
    kube = await Kube.connect(5, 10)
    try:
        made = await make_key(kube, namespace, name)
        log.info("%s/%s: %s", namespace, name, "made" if made else "is there already")
    finally:
        await kube.close()


def main() -> None:
    """Reads the command line; ends the process."""
    parser = argparse.ArgumentParser(prog="avatar_operator.link_key", description=__doc__)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--secret", required=True, help="name of the Secret")
    arguments = parser.parse_args()
    end_when_told()
    configure_logs()
    try:
        asyncio.run(_main(arguments.namespace, arguments.secret))
    except AvatarError as error:
        print(error, file=sys.stderr)
        sys.exit(error.info.exit_code)


if __name__ == "__main__":
    main()
