"""Tokens that the API server would have written at another time: its own key signs them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.cluster.cluster import Cluster
from tests.support.tokens import base64url


def altered(cluster: Cluster, token: str, **claims: Any) -> str:
    """A token with other claims, signed as the cluster signs (ES256)."""
    header, payload, _ = token.split(".")
    told = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | claims
    text = f"{header}.{base64url(json.dumps(told).encode())}"
    key = serialization.load_pem_private_key((cluster.folder / "tokens.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    halves = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{base64url(b''.join(half.to_bytes(32, 'big') for half in halves))}"
