"""Object storage through obstore: a folder, S3, Google Cloud Storage or Azure."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import obstore
from obstore.store import ObjectStore, from_url

CHUNK = 256 * 1024


class ObstoreStorage:
    """Storage over any store that obstore knows."""

    def __init__(self, url: str) -> None:
        if url.startswith("file://"):
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
        self._store: ObjectStore = from_url(url)

    async def put(self, object_id: UUID, content: BinaryIO) -> None:
        await obstore.put_async(self._store, _path(object_id), content)

    async def read(self, object_id: UUID, *, start: int, end: int) -> AsyncIterator[bytes]:
        for begin in range(start, end, CHUNK):
            chunk = await obstore.get_range_async(
                self._store, _path(object_id), start=begin, end=min(begin + CHUNK, end)
            )
            yield bytes(chunk)

    async def delete(self, object_id: UUID) -> None:
        try:
            await obstore.delete_async(self._store, _path(object_id))
        except FileNotFoundError:
            return

    async def check(self) -> None:
        await obstore.list_with_delimiter_async(self._store, prefix="objects")


def _path(object_id: UUID) -> str:
    name = str(object_id)
    return f"objects/{name[-2:]}/{name}"
