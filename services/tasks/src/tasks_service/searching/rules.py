"""Pure rules of search: what is searched, how well something fits, and how what fits is marked."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from chassis.errors import ErrorDetail, InvalidInput

from tasks_service.tasks.rules import KEY_PATTERN, Key, task_named

Scope = Literal["tasks", "comments", "attachments"]
KINDS: Mapping[Scope, str] = {"tasks": "task", "comments": "comment", "attachments": "attachment"}
SCOPES: tuple[Scope, ...] = tuple(KINDS)
MAX_Q = 200

POINTS = 1_000_000
"""A rank is kept as a whole number of millionths, so that cursors compare exactly."""
EXACT_POINTS = 100_000
"""What fits by its words has at least so many points: just as many where it is not ranked. What is merely like them has
less."""
FEW = 5
"""Where fewer tasks than this fit exactly, titles that are like the words come after them."""
MOST_RANKED = 200
"""Of about how many tasks that fit, the newest, it is said how well they do, unless a setting says otherwise."""
MOST_NUMBERED = 20
"""How many tasks with a number in their key are found by it, of different projects."""

OPEN, CLOSE, LESS, GREATER = "\ue000", "\ue001", "\ue002", "\ue003"
"""What stands for marks and brackets while words are marked: none of them is a letter, and no text keeps them."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for, and in what; and of about how many tasks that fit it is said how well they do."""

    q: str
    scope: tuple[Scope, ...] = SCOPES
    ranked_up_to: int = MOST_RANKED

    @property
    def kinds(self) -> list[str]:
        return sorted(KINDS[one] for one in set(self.scope))

    @property
    def key(self) -> Key | None:
        """The key of a task, where that is all that is searched for."""
        if "tasks" not in self.scope or re.fullmatch(KEY_PATTERN, self.q.strip()) is None:
            return None
        named = task_named(self.q.strip())
        return named if isinstance(named, Key) else None

    @property
    def number(self) -> int | None:
        """The number in the key of a task, where that is all that is searched for."""
        found = re.fullmatch(r"#?([1-9][0-9]{0,8})", self.q.strip(), re.ASCII)
        return int(found[1]) if found and "tasks" in self.scope else None

    @property
    def words(self) -> str | None:
        """What titles are compared with: None of what is no words, or says what is not to be there."""
        text = self.q.strip()
        return text if re.search(r"[^\W\d_]{3}", text) and not re.search(r'["]|(^|\s)-\w', text) else None

    def fingerprint(self) -> str:
        """Return a text that is equal for equal searches."""
        return repr((self.q, self.kinds))


@dataclass(frozen=True, slots=True)
class Matching:
    """What a search comes to when it begins, for all of its pages: see `searching.service`.

    `query` is what PostgreSQL makes of the words, which much fits if it `is_common`. Tasks with ids from `floor` on are
    ranked, which are the `hits`; None is all. `pinned` are tasks with points of their own: those with the key that was
    searched for, and those whose titles are like the words.
    """

    query: str
    is_common: bool = False
    floor: UUID | None = None
    pinned: tuple[tuple[UUID, int], ...] = ()
    hits: tuple[UUID, ...] = ()

    @property
    def keyed(self) -> tuple[tuple[UUID, int], ...]:
        """Those with the key."""
        return tuple(one for one in self.pinned if one[1] == POINTS)

    def as_written(self) -> str:
        """Return it as it is in a cursor, without the query and the hits, which are found again."""
        floor = "" if self.floor is None else str(self.floor)
        pinned = ",".join(f"{task_id}:{points}" for task_id, points in self.pinned)
        return f"{int(self.is_common)} {floor} {pinned}"

    @classmethod
    def read(cls, written: str) -> "Matching":
        """Return what a cursor of ours has."""
        common, floor, pinned = written.split(" ")
        pairs = (one.split(":") for one in pinned.split(",") if one)
        found = tuple((UUID(task_id), int(points)) for task_id, points in pairs)
        return cls("", common == "1", UUID(floor) if floor else None, found)


def refuse_scope(scope: Sequence[Scope]) -> None:
    """Raise InvalidInput for a scope, where nothing is searched for."""
    if scope:
        sentence = "Only a search has a scope: give `q`, too."
        raise InvalidInput(details=[ErrorDetail("NOT_ALLOWED", sentence, "scope")])


def rank_of(points: int | None) -> float:
    """Return a rank from 0 to 1."""
    return (points or 0) / POINTS


def marked(text: str) -> str:
    """Return a text that PostgreSQL has marked as HTML: its own brackets are escaped, and marks are elements."""
    plain = html.escape(text.replace(LESS, "<").replace(GREATER, ">"), quote=True)
    return plain.replace(OPEN, "<mark>").replace(CLOSE, "</mark>")


def is_marked(text: str | None) -> bool:
    """Tell whether anything in a text is marked."""
    return text is not None and OPEN in text
