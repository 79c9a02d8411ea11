"""Object storage as the rest of the service sees it."""

from collections.abc import AsyncIterator
from typing import BinaryIO, Protocol
from uuid import UUID


class Storage(Protocol):
    """Keeps bytes under ids. An object is whole or not there."""

    async def put(self, object_id: UUID, content: BinaryIO) -> None:
        """Store the content from its current position on."""

    def read(self, object_id: UUID, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to and without `end`."""

    async def delete(self, object_id: UUID) -> None:
        """Remove an object; one that is not there is removed already."""

    async def check(self) -> None:
        """Return when the storage can be used; raise otherwise."""
