"""Object storage as the rest of the service sees it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID


class Storage(Protocol):
    """Keeps bytes under ids. An object is whole or not there.

    Every method raises ServiceUnavailable when the storage does not do its part.
    """

    async def put(self, object_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Store the chunks; on return they survive a power cut.

        What the iterator raises is passed on, and then nothing is stored.
        """

    async def open(self, object_id: UUID, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes from `start` up to and without `end`, to be read as they come."""

    async def delete(self, object_ids: Sequence[UUID]) -> None:
        """Remove objects; one that is not there is removed already."""

    def older_than(self, moment: datetime) -> AsyncIterator[list[UUID]]:
        """Yield the ids of objects last written before `moment`, some at a time."""

    async def sweep(self, moment: datetime) -> None:
        """Remove what interrupted writes before `moment` left behind."""

    async def check(self) -> None:
        """Return when the storage takes bytes; raise otherwise."""
