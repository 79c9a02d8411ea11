"""Object storage through obstore: a folder, S3, Google Cloud Storage or Azure."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from chassis.errors import ServiceUnavailable
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

OBJECTS = "objects"
PROBE = "probe"
READ_BYTES = 256 * 1024
# Two parts at a time bound the memory of an upload. S3 takes no smaller ones than 5 MiB; a folder does.
CLOUD_PART_BYTES = 5 * 1024 * 1024
FOLDER_PART_BYTES = 1024 * 1024
PARTS_AT_ONCE = 2
LIST_ENTRIES = 500
RETRY_AFTER_SECONDS = 5


class ObstoreStorage:
    """Storage over any store that obstore knows."""

    def __init__(self, url: str) -> None:
        self._folder = _folder(url)
        self._part_bytes = CLOUD_PART_BYTES if self._folder is None else FOLDER_PART_BYTES
        self._store: ObjectStore = from_url(url) if self._folder is None else LocalStore(self._folder, mkdir=True)

    async def put(self, object_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        # obstore writes to a temporary name, or as a multipart upload, and shows the object when it is whole.
        path = _path(object_id)
        with _as_unavailable():
            await obstore.put_async(
                self._store, path, chunks, chunk_size=self._part_bytes, max_concurrency=PARTS_AT_ONCE
            )
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder / path, self._folder)

    async def open(self, object_id: UUID, *, start: int, end: int) -> AsyncIterator[bytes]:
        if start == end:
            return _nothing()
        with _as_unavailable():
            found = await obstore.get_async(self._store, _path(object_id), options={"range": (start, end)})
        return _chunks(found)

    async def delete(self, object_ids: Sequence[UUID]) -> None:
        paths = [_path(object_id) for object_id in object_ids]
        if not paths:
            return
        with _as_unavailable():
            try:
                await obstore.delete_async(self._store, paths)
            except FileNotFoundError:
                # Which one was missing is not said, nor which others are still there.
                await self._delete_one_by_one(paths)

    async def _delete_one_by_one(self, paths: Sequence[str]) -> None:
        for path in paths:
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, path)

    async def older_than(self, moment: datetime) -> AsyncIterator[list[UUID]]:
        with _as_unavailable():
            async for entries in obstore.list(self._store, prefix=OBJECTS, chunk_size=LIST_ENTRIES):
                found = [_object_id(entry["path"]) for entry in entries if entry["last_modified"] < moment]
                yield [object_id for object_id in found if object_id is not None]

    async def sweep(self, moment: datetime) -> None:
        # In the clouds a lifecycle rule of the bucket ends multipart uploads that nobody completes.
        if self._folder is not None:
            await asyncio.to_thread(_remove_unfinished, self._folder / OBJECTS, moment.timestamp())

    async def check(self) -> None:
        with _as_unavailable():
            if self._folder is None:
                await obstore.list_with_delimiter_async(self._store, prefix=PROBE)
            else:
                await obstore.put_async(self._store, PROBE, b"")


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        # obstore's messages have paths and bucket names in them: the log gets the kind alone.
        raise ServiceUnavailable(
            retry_after=RETRY_AFTER_SECONDS, log_detail=f"storage: {type(error).__name__}"
        ) from None


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=READ_BYTES):
        yield bytes(chunk)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


def _path(object_id: UUID) -> str:
    name = str(object_id)
    return f"{OBJECTS}/{name[-2:]}/{name}"


def _object_id(path: str) -> UUID | None:
    """Return the id that an object is stored under; None for what is not ours."""
    try:
        return UUID(path.rpartition("/")[2])
    except ValueError:
        return None


def _folder(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _sync(file: Path, root: Path) -> None:
    """Make a file and its name survive a power cut."""
    for path in (file, file.parent, file.parent.parent, root):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_unfinished(folder: Path, before: float) -> None:
    """Remove obstore's temporary files, `<name>#<number>`, which its own listing leaves out."""
    for path in folder.glob("*/*#*"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
