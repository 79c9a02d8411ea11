"""What is kept in the memory of a process: for how long, and how much of it."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KEPT_SECONDS = 300.0
"""How long what is right while the logs stand is kept at most.

A database that was restored, or written by hand, is not known by its logs.
"""

T = TypeVar("T")


class Kept(Generic[T]):
    """What was found out a moment ago, by whom it was for, and of what; of more than `most` the oldest goes."""

    def __init__(self, seconds: float, *, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._much = 0
        # All are kept equally long, so that the first to go are the first that came.
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def find(self, made_for: Hashable, *, now: float) -> T | None:
        """Return what was found out a moment ago; `now` in seconds of a clock that never goes back."""
        until, found = self._kept.get(made_for, (now, None))
        return found if now < until else None

    def keep(self, made_for: Hashable, found: T, *, now: float) -> None:
        """Keep what was begun to be found out at `now`, and forget what is too old, and the oldest of too many."""
        self._forget(made_for)
        self._kept[made_for] = now + self._seconds, found
        self._much += self.weight(found)
        while self._kept and (self._much > self._most or next(iter(self._kept.values()))[0] <= now):
            self._forget(next(iter(self._kept)))

    def weight(self, _found: T) -> int:
        """Return what part of `most` something takes."""
        return 1

    def _forget(self, made_for: Hashable) -> None:
        if (was := self._kept.pop(made_for, None)) is not None:
            self._much -= self.weight(was[1])

    def __len__(self) -> int:
        return len(self._kept)
