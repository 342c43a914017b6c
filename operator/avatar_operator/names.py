"""Names, labels and annotations by which the operator knows its own."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

FINALIZER = "avatars.dev/store"
SESSION_UID = "avatars.dev/session-uid"
SESSION_NAME = "avatars.dev/session"
ATTEMPT = "avatars.dev/attempt"
RESOLVED = "avatars.dev/resolved-session"
KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR = "avatar-operator"
CONTAINER, PREPARE = "session", "prepare"
"""Containers, and the components they belong to."""
AVATAR_UID = "avatars.dev/avatar-uid"
AVATAR_NAME = "avatars.dev/avatar"
GENERATION = "avatars.dev/generation"
IN_USE = "avatars.dev/in-use"


def job_name(uid: str, attempt: int) -> str:
    """`avs-<hash of the session's uid>-<attempt>`."""
    return f"avs-{_digest(uid)}-{attempt}"


def preparation_name(uid: str, generation: int, attempt: int) -> str:
    """`avp-<hash of the avatar's uid>-<generation>-<attempt>`."""
    return f"avp-{_digest(uid)}-{generation}-{attempt}"


def _digest(uid: str) -> str:
    """100 bits, so no two objects ever share one."""
    return b32encode(sha256(uid.encode()).digest())[:20].decode().lower()
