"""Where a server listens: the address, TLS, and whether others may see what is sent."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from avatar_core.errors import AvatarError, InvalidInputError, Reason

MESSAGE_BYTES = 4 * 1024 * 1024
STREAMS = 1024


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files; with `client_ca` clients must show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


def check_exposure(host: str, tls: Tls | None, insecure: bool) -> None:
    """Raises InvalidInputError for plain text on an address others can reach, unless it is `insecure`."""
    if tls or insecure or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        message = f"{host} is not a loopback address; give --tls-cert and --tls-key, or --insecure"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="host")


def options() -> list[tuple[str, int]]:
    """Of every server's channels."""
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


def bind(server: grpc.aio.Server, host: str, port: int, tls: Tls | None) -> int:
    """Makes a server listen; the port it got. Raises AvatarError: taken, or TLS files that can't be read."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        message = f"can't listen on {address}: {error}"
        raise AvatarError(Reason.INVALID_ARGUMENT, message, field="port") from None


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    try:
        # grpc only says that binding failed; this says which file is wrong.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        roots = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as error:
        message = f"{tls.certificate}, {tls.key} or the client CA can't be used: {error}"
        raise InvalidInputError(Reason.INVALID_ARGUMENT, message, field="tls") from None
    return grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)
