"""One leader at a time, by a Lease. Whoever can't renew in time stops writing, and its process ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avatar_core.cluster.kube import ConflictError, GoneError, Kube, KubeError
from avatar_operator.paths import collection, one

log = logging.getLogger(__name__)
ADDRESS = "avatars.dev/address"
REQUEST_SECONDS = 5.0


class NotLeadingError(KubeError):
    """This process may write no more."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "another replica may be leading by now")


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Which Lease, and how patient everybody is.

    Attributes:
        namespace, name: of the Lease.
        duration: seconds without renewal after which others take over.
        deadline: seconds without renewal after which the leader gives up; less than `duration`.
        period: seconds between tries.
    """

    namespace: str
    name: str = "avatar-operator"
    duration: float = 15
    deadline: float = 10
    period: float = 2


class Election:
    """Stands for election, and once elected renews until it can't.

    Args:
        kube: where the Lease is.
        settings: of it.
        identity: of this process, unlike any other's, before or after.
        address: where this process takes posts; others forward to the leader's.
        clock: monotonic seconds; it goes on while the process is frozen.
    """

    def __init__(
        self,
        kube: Kube,
        settings: LeaseSettings,
        identity: str,
        address: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._settings, self._clock = kube, settings, clock
        self._identity, self._address = identity, address
        self._renewed: float | None = None
        self._seen_version, self._seen_at = "", clock()
        self.elected = asyncio.Event()
        self.leader_address = ""

    @property
    def leading(self) -> bool:
        """Whether this process leads for sure."""
        return self._renewed is not None and self._clock() < self._renewed + self._settings.deadline

    def check(self) -> None:
        """To be asked before every write.

        Raises:
            NotLeadingError: it does not lead for sure.
        """
        if not self.leading:
            raise NotLeadingError

    async def run(self) -> None:
        """Returns once this process has led and does no more; it must end then."""
        while self._renewed is None or self.leading:
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._try()
            except (KubeError, TimeoutError) as error:
                log.warning("the Lease could not be read or written: %s", error)
            except Exception:
                log.exception("the Lease makes no sense")
            await asyncio.sleep(self._settings.period)
        log.error("the Lease was not renewed in time")

    async def release(self) -> None:
        """Lets others lead at once; for a graceful end."""
        if not self.leading:
            return
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                lease = await self._kube.ask("get", self._path, queued=False)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    self._renewed = float("-inf")
                    await self._kube.ask("update", self._path, body=lease, queued=False)
        except (KubeError, TimeoutError) as error:
            log.warning("the Lease was not released: %s", error)

    @property
    def _path(self) -> str:
        return one("leases", self._settings.namespace, self._settings.name)

    async def _try(self) -> None:
        """Renews, takes what is free or abandoned, or sees who leads."""
        began = self._clock()
        try:
            lease = await self._kube.ask("get", self._path, queued=False)
        except GoneError:
            lease = None
        if lease is not None and not self._is_mine_or_free(lease):
            self.leader_address = lease["metadata"].get("annotations", {}).get(ADDRESS, "")
            if self._renewed is not None:
                self._renewed = float("-inf")
            return
        try:
            await self._write(lease)
        except ConflictError:
            return
        self._renewed, self.leader_address = began, self._address
        if not self.elected.is_set():
            log.info("elected", extra={"identity": self._identity})
            self.elected.set()

    def _is_mine_or_free(self, lease: dict[str, Any]) -> bool:
        """Abandoned is a Lease that did not change for its duration on this process's own clock."""
        holder = lease["spec"].get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._clock()
        duration = lease["spec"].get("leaseDurationSeconds") or self._settings.duration
        return self._clock() >= self._seen_at + float(duration)

    async def _write(self, lease: dict[str, Any] | None) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        old: dict[str, Any] = lease["spec"] if lease else {}
        same = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._settings.duration),
            "acquireTime": old.get("acquireTime") if same else now,
            "renewTime": now,
            "leaseTransitions": old.get("leaseTransitions", 0) + (0 if same or lease is None else 1),
        }
        metadata: dict[str, Any] = {"name": self._settings.name, "namespace": self._settings.namespace}
        if lease is not None:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        metadata["annotations"] = {ADDRESS: self._address}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        if lease is None:
            path = collection("leases", self._settings.namespace)
            await self._kube.ask("create", path, body=body, queued=False)
        else:
            await self._kube.ask("update", self._path, body=body, queued=False)
