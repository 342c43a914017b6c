"""How much is done at once: who comes when all places are taken is told to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from avatar_core.errors import Reason, StoreError


class Slots:
    """Places for work under way.

    Args:
        count: of places.
        what: takes them, for the message.
    """

    def __init__(self, count: int, what: str) -> None:
        self._free, self._count, self._what = count, count, what

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place until the block ends.

        Raises:
            StoreError: STORE_UNAVAILABLE, there is none.
        """
        if not self._free:
            raise StoreError(Reason.STORE_UNAVAILABLE, f"{self._count} {self._what} are under way")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
