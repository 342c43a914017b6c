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
CONTAINER = "session"


def job_name(uid: str, attempt: int) -> str:
    """`avs-<hash of the session's uid>-<attempt>`: 100 bits, so no two sessions ever share one."""
    digest = b32encode(sha256(uid.encode()).digest())[:20].decode().lower()
    return f"avs-{digest}-{attempt}"
