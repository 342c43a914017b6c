"""The gateway's configuration file, checked once at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from avatar_core.configuration import STRICT, read_file
from avatar_core.errors import InvalidInputError, Reason
from avatar_core.key_files import KeyFile
from avatar_core.links import KID

Port = Annotated[int, Field(ge=0, le=65535)]
Account = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}$")]


class LinkKey(BaseModel):
    """A key that links to videos are signed with; its file holds at least 32 bytes."""

    model_config = STRICT

    id: Annotated[str, Field(pattern=f"^{KID}$")]
    file: Path


class Links(BaseModel):
    """Which links are accepted: of two keys while one takes the other's place. None: no links are."""

    model_config = STRICT

    keys: Annotated[tuple[LinkKey, ...], Field(max_length=2)] = ()

    def read(self) -> tuple[KeyFile, ...]:
        """The keys, as they are now.

        Raises:
            InvalidInputError: a key can't be read or is too short, or two have one id.
        """
        try:
            found = tuple(KeyFile(key.id, key.file) for key in self.keys)
        except (OSError, ValueError) as error:
            raise InvalidInputError(Reason.INVALID_ARGUMENT, str(error), field="links.keys") from None
        if len({key.id for key in self.keys}) != len(self.keys):
            raise InvalidInputError(Reason.INVALID_ARGUMENT, "two keys have one id", field="links.keys")
        return found


class Configuration(BaseModel):
    """All of it.

    Attributes:
        store: URL, as `avatar_core.store.ObjectStore` takes it; credentials come from the environment.
        audience: that tokens must be for.
        readers: ServiceAccounts, as `namespace:name`, that may read the `result.json` of every session.
        keepers: ServiceAccounts, likewise, that may read and write prepared avatars.
        links: which links to videos are accepted.
        object_bytes: of the largest object that is taken.
        uploads_at_once: each takes up to about 20 MiB; more are told to come again.
        viewers_at_once: answers to viewers under way, each takes up to about 2 MiB; more are told to come
            again.
        requests_a_second, requests_at_once: to the API server.
    """

    model_config = STRICT

    store: Annotated[str, Field(min_length=1)]
    audience: str = "gateway.avatars.dev"
    readers: tuple[Account, ...] = ()
    keepers: tuple[Account, ...] = ()
    links: Links = Links()
    object_bytes: Annotated[int, Field(ge=1)] = 2 * 1024**3
    uploads_at_once: Annotated[int, Field(ge=1)] = 32
    viewers_at_once: Annotated[int, Field(ge=1)] = 256
    requests_a_second: Annotated[float, Field(gt=0)] = 100
    requests_at_once: Annotated[int, Field(ge=1)] = 200
    host: str = "0.0.0.0"  # noqa: S104 - pods come from everywhere
    port: Port = 8082
    probes_port: Port = 8080


def read_configuration(path: Path) -> Configuration:
    """Reads a YAML file.

    Raises:
        InvalidInputError: it can't be read; names the field.
    """
    return read_file(path, Configuration)
