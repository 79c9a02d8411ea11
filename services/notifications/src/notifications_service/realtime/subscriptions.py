"""What a reader wants of what it may see: everything, or some scopes, each with a filter or without.

Deciding it is cheap, since it is done for every reader of every frame: a frame says once which scopes it is of, and a
filter that many readers share judges it once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

import orjson
from chassis.filtering.judging import Judge

from notifications_service.realtime.protocol import StoredFrame
from notifications_service.sight.service import Spot

MAX_SUBSCRIPTIONS = 50

Kind = Literal["everything", "me", "workspace", "project", "task"]
LEAVES = b',"left_filter":true'


class Scope(NamedTuple):
    """A part of what somebody sees; `id` is that of the workspace, project or task."""

    kind: Kind
    id: UUID | None = None


EVERYTHING, ME = Scope("everything"), Scope("me")


@dataclass(eq=False, slots=True)
class Subscription:
    """A scope that a reader wants; `id` is what the reader calls it."""

    scope: Scope
    id: str | None = None
    judge: Judge | None = None
    workspace_id: UUID | None = None
    """Where the workspace, project or task is."""
    spot: Spot | None = None
    """The project or task, with where it is."""
    is_doubtful: bool = False
    """Whether what is known here said that it is seen, a moment ago."""


class Subscriptions:
    """All that one reader wants."""

    def __init__(self, user_id: UUID, wanted: Iterable[Subscription] = ()) -> None:
        self._user = str(user_id)
        self._by_scope: dict[Scope, list[Subscription]] = {}
        for one in wanted or [Subscription(EVERYTHING)]:
            self._put(one)
        self._compile()

    def __iter__(self) -> Iterator[Subscription]:
        return (one for several in self._by_scope.values() for one in several)

    def __len__(self) -> int:
        return sum(one.scope is not EVERYTHING for one in self)

    def add(self, wanted: Subscription) -> None:
        """Want this as well; instead of what was called the same, and of everything, if that is all so far."""
        self._by_scope.pop(EVERYTHING, None)
        for one in [one for one in self if one.id == wanted.id and (one.id is not None or one.scope == wanted.scope)]:
            self._take(one)
        self._put(wanted)
        self._compile()

    def find(self, *, name: str | None, scope: Scope | None) -> list[Subscription]:
        """Return what is called by a name, or all of a scope."""
        return [one for one in self if (one.id == name if name is not None else one.scope == scope)]

    def remove(self, unwanted: Iterable[Subscription]) -> None:
        """Want these no more; of the last one nothing is left, and not everything."""
        for one in unwanted:
            self._take(one)
        self._compile()

    def in_workspace(self, workspace_id: UUID) -> list[Subscription]:
        """Return what is wanted of a workspace by itself."""
        return [one for one in self if one.workspace_id == workspace_id]

    def part_of(self, frame: StoredFrame, *, is_lost: bool = False) -> bytes | None:
        """Return what a frame has for this reader besides what all have: which subscriptions it fits. None: nothing.

        What `is_lost` to the reader has left every filter that it was in. Of what was deleted for good since it is told
        only what it was taken out of, or what was taken off it: the rest is told by the deletion.
        """
        is_silent = frame.is_forgotten and not is_lost
        if self.is_everything:
            return None if is_silent else b""
        fitting: list[Subscription] = []
        left: list[Subscription] = []
        for one in self._candidates(frame):
            fits = True if one.judge is None else frame.judged(one.judge)
            if fits is not None:
                (left if one.judge is not None and (is_lost or not fits) else fitting).append(one)
        if is_silent:
            fitting = [one for one in fitting if self._ends(frame, one.scope)]
        if not (fitting or left):
            return None
        return _said("subscriptions", fitting or left) + (
            (_said("left_subscriptions", left) if fitting else LEAVES) if left else b""
        )

    def _ends(self, frame: StoredFrame, scope: Scope) -> bool:
        """Tell whether by a frame something has left a scope that it was in, or was taken off a task there."""
        return frame.takes_off or (self._user in frame.released if scope == ME else frame.has_left(scope.id))

    def _candidates(self, frame: StoredFrame) -> Iterator[Subscription]:
        yield from self._everything
        if not frame.is_personal:
            for scope in self._by_scope.keys() & frame.scopes:
                yield from self._by_scope[scope]
        if self._mine and (frame.is_personal or self._user in frame.concerned):
            yield from self._mine

    def _compile(self) -> None:
        self._everything = self._by_scope.get(EVERYTHING, [])
        self._mine = self._by_scope.get(ME, [])
        self.is_everything = len(self._everything) == 1 and self._everything[0].judge is None
        """Whether there is nothing to decide."""
        self.needs_tasks = bool(self._mine) or any(one.judge for one in self)
        """Whether the tasks have to be known that frames are about."""

    def _put(self, one: Subscription) -> None:
        self._by_scope.setdefault(one.scope, []).append(one)

    def _take(self, one: Subscription) -> None:
        several = self._by_scope[one.scope]
        several.remove(one)
        if not several:
            del self._by_scope[one.scope]


def _said(name: str, subscriptions: list[Subscription]) -> bytes:
    names = [one.id for one in subscriptions if one.id is not None]
    return b',"%b":%b' % (name.encode(), orjson.dumps(names)) if names else b""
