"""Writes that a process has let pass by itself, until Redis is told of them (R41)."""

from collections.abc import Sequence

MOST_KEPT = 50_000


class UntoldWrites:
    """Who has written while Redis was away, and until when that is to be remembered; times are of one clock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def note(self, key: str, *, until: float) -> None:
        """Keep a write; of too many the oldest is forgotten."""
        until = max(until, self._until.pop(key, until))
        if len(self._until) == MOST_KEPT:
            del self._until[next(iter(self._until))]
        self._until[key] = until

    def rest(self, *, now: float, most: int) -> Sequence[tuple[str, float]]:
        """Return some of what is to be told, each with the seconds that are left; what has passed is forgotten."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        return [(key, until - now) for key, until in list(self._until.items())[:most]]

    def forget(self, keys: Sequence[str]) -> None:
        """Forget what has been told."""
        for key in keys:
            del self._until[key]

    def __len__(self) -> int:
        return len(self._until)
