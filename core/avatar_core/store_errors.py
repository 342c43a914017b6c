"""Tells what went wrong in a store: full, denied or not reachable."""

from __future__ import annotations

import errno
import re

from avatar_core.errors import AvatarError, InvalidInputError, Reason, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST}
_FULL_CODES = re.compile(r"\b507\b|Insufficient ?Storage|QuotaExceeded|StorageFull", re.IGNORECASE)
_DENIED_CODES = re.compile(r"AccessDenied|NoSuchBucket|InvalidBucketName|status: 40[13]\b", re.IGNORECASE)
_SECRETS = re.compile(r"\?\S+|(?<=//)[^/\s@]+@")
"""Query strings may hold a signature, and the part before @ a password."""


def typed_store_error(error: Exception, action: str, where: str) -> AvatarError:
    """The typed form of what a store's library or the operating system raised.

    Args:
        error: what was raised.
        action: a verb such as "write".
        where: URL or key, for the message; secrets in it are left out.
    """
    detail = _SECRETS.sub("", str(error).split("\n", 1)[0])[:300]
    where = _SECRETS.sub("", where)
    if isinstance(error, ValueError):
        return InvalidInputError(Reason.INVALID_ARGUMENT, f"can't {action} {where}: {detail}", field="store")
    reason = _reason(error)
    advice = {
        Reason.STORE_FULL: "the store is full; make room",
        Reason.STORE_DENIED: "the store refuses; check that it exists, the permissions and the credentials",
        Reason.STORE_UNAVAILABLE: "the store can't be reached or does not answer",
    }[reason]
    return StoreError(reason, f"can't {action} {where}: {advice} ({detail})")


def _reason(error: Exception) -> Reason:
    text = str(error)
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"\(os error (\d+)\)", text)):
        number = int(found[1])
    if number in _FULL or _FULL_CODES.search(text):
        return Reason.STORE_FULL
    refused = ("PermissionDeniedError", "UnauthenticatedError")
    if number in _DENIED or isinstance(error, FileNotFoundError) or type(error).__name__ in refused:
        return Reason.STORE_DENIED
    return Reason.STORE_DENIED if _DENIED_CODES.search(text) else Reason.STORE_UNAVAILABLE
