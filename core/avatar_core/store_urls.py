"""Opens the store a URL means, with explicit credentials only."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from avatar_core.errors import InvalidInputError, Reason, StoreError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_CREDENTIALS: dict[str, tuple[tuple[str, ...], ...]] = {
    "s3": (
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
        ("AWS_SKIP_SIGNATURE",),
    ),
    "gs": (
        ("GOOGLE_APPLICATION_CREDENTIALS",),
        ("GOOGLE_SERVICE_ACCOUNT",),
        ("GOOGLE_SERVICE_ACCOUNT_KEY",),
        ("GOOGLE_SKIP_SIGNATURE",),
    ),
    "az": (
        ("AZURE_STORAGE_ACCOUNT_KEY",),
        ("AZURE_STORAGE_SAS_TOKEN",),
        ("AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID"),
        ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
        ("AZURE_SKIP_SIGNATURE",),
    ),
}
"""Sets of environment variables, any one of which is enough to sign requests (or says not to)."""


def local_folder(url: str) -> Path | None:
    """The folder a URL means, or None for any other store."""
    if "://" not in url:
        return Path(url).absolute()
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def open_store(url: str, folder: Path | None) -> Any:
    """The obstore object behind a URL.

    Args:
        url: as `ObjectStore` takes it.
        folder: what `local_folder` said of it.

    Raises:
        InvalidInputError: a URL of no known kind.
        StoreError: missing credentials.
        OSError: the folder can't be made.
    """
    from obstore.store import LocalStore, MemoryStore, from_url

    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder, automatic_cleanup=True)
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryStore()
    if scheme not in _CREDENTIALS:
        known = "a folder, file://, s3://, gs://, az:// or memory://"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, f"{url!r} must be {known}", field="store")
    _require_credentials(scheme)
    retry: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}
    options: Any = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "1h"}
    # Options given here hide those of the environment.
    options["allow_http"] = _allows_plain_http(scheme)
    return from_url(url, retry_config=retry, client_options=options)


def _require_credentials(scheme: str) -> None:
    """Refuses to go on without credentials: the library would ask the cloud's metadata address for some."""
    choices = _CREDENTIALS[scheme]
    if not any(
        all(os.environ.get(name, "").lower() not in {"", "false"} for name in names) for names in choices
    ):
        wanted = ", or ".join(" and ".join(names) for names in choices)
        raise StoreError(
            Reason.STORE_DENIED, f"no credentials for {scheme}:// in the environment; set {wanted}"
        )


def _allows_plain_http(scheme: str) -> bool:
    """Whether the environment allows it; an endpoint without TLS that is not allowed is refused by name."""
    prefix = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}[scheme]
    allowed = os.environ.get(f"{prefix}_ALLOW_HTTP", "").lower() in {"true", "1"}
    endpoints = [value for name, value in os.environ.items() if name.startswith(f"{prefix}_ENDPOINT")]
    if not allowed and any(endpoint.startswith("http://") for endpoint in endpoints):
        message = f"the endpoint of {scheme}:// is plain HTTP; set {prefix}_ALLOW_HTTP=true to allow that"
        raise StoreError(Reason.STORE_DENIED, message)
    return allowed
