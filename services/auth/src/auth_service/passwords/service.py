"""Hashing passwords (R9): Argon2id on two threads, with a bounded queue in front."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2

from auth_service.passwords.errors import PasswordWorkFull
from auth_service.passwords.rules import is_oversized, normalized

THREADS = 2
QUEUE = 64
NICENESS = 10
MEMORY_KIB = 19_456
PASSES = 2

T = TypeVar("T")


def yield_to_others() -> None:
    """Let the scheduler prefer those who answer requests to this thread, where niceness is per thread (sched(7))."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class PasswordHasher:
    """Argon2id, on threads: 23 ms a hash are too many for the event loop.

    `memory_kib` and `passes` are what a hash costs; by default OWASP's second choice (m=19456 KiB, t=2, p=1).
    """

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=1, hash_len=32, salt_len=16, type=argon2.Type.ID
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2", initializer=yield_to_others)
        self._pending = 0
        self._dummy = self._argon2.hash("no account has this password")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return the encoded hash. Raises PasswordWorkFull."""
        normal = normalized(password)
        return await self._off_loop(lambda: self._argon2.hash(normal))

    async def verify(self, password: str, encoded: str | None) -> bool:
        """Tell whether the password fits. Without a hash the same work is done for nothing. Raises PasswordWorkFull."""
        if is_oversized(password):
            return False
        normal = normalized(password)
        fits = await self._off_loop(lambda: self._fits(encoded or self._dummy, normal))
        return fits and encoded is not None

    def needs_rehash(self, encoded: str) -> bool:
        """Tell whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(encoded)

    def _fits(self, encoded: str, password: str) -> bool:
        try:
            return self._argon2.verify(encoded, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._pending >= THREADS + QUEUE:
            raise PasswordWorkFull(retry_after=1)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pending -= 1
