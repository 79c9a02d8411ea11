"""What is asked of a workspace of many tasks: everyday lists, searches, counts, and changes of two hundred at once.

Each request of a case differs from the one before, so that it is not the cache that is measured. Times are told from
when the last task was made, for the same share of them to match at each size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import dataset

RANKS_OF_COMMON = range(25, 45)
"""Of words that are each in about one task of six."""
RANKS_OF_MIDDLE = range(2000, 2400)
"""Of words that are each in about one task of four hundred."""


@dataclass(frozen=True)
class Who:
    """A caller: the name in the table, the user, and the projects that the caller's requests name by turns."""

    name: str
    user: str
    projects: Sequence[str]


OWNER = Who("owner", dataset.USERS[dataset.OWNER], dataset.PROJECT_IDS[:20])
GUEST = Who(
    "two projects",
    dataset.USERS[dataset.OF_PROJECTS[0]],
    [dataset.PROJECT_IDS[place] for place, user in dataset.project_roles() if user == dataset.OF_PROJECTS[0]],
)
CALLERS = (OWNER, GUEST)


Parameters = Callable[[Who, int, datetime], Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """A kind of request; `parameters` are those of one turn. A `bar` is on those that may not grow with the tasks."""

    group: str
    name: str
    path: str
    parameters: Parameters

    @property
    def has_bar(self) -> bool:
        return self.group in ("list", "search")

    def target(self, who: Who, turn: int, now: datetime) -> str:
        """Return the path and query of one request at a time."""
        return f"/api/v1{self.path}?{urlencode(self.parameters(who, turn, now))}"


def word(ranks: range, turn: int) -> str:
    """Return a word of a band of the vocabulary."""
    return dataset.WORDS[ranks[turn * 7 % len(ranks)]]


def misspelled(turn: int) -> str:
    """Return a long, rare word with two letters in each other's place."""
    found = next(one for one in dataset.WORDS[6000 + turn * 7 :] if len(one) > 7)
    return f"{found[:3]}{found[4]}{found[3]}{found[5:]}"


def _before(now: datetime, turn: int) -> str:
    """Return an instant some days ago."""
    return f"{now - timedelta(days=2, hours=turn % 72):%Y-%m-%dT%H:%M:%SZ}"


OPEN = ("todo", "in_progress")
LISTS: Mapping[str, Parameters] = {
    "newest": lambda _who, turn, _now: {"per_page": 20 + turn % 3},
    "newest of a project": lambda who, turn, _now: {"project_id": who.projects[turn % len(who.projects)]},
    "newest, by cursor": lambda _who, turn, _now: {"cursor": "", "per_page": 20 + turn % 3},
    "status and priority, by -priority,due": lambda _who, turn, _now: {
        "status": OPEN[turn % 2],
        "priority": "high,urgent",
        "sort": "-priority,due",
        "per_page": 20 + turn % 3,
    },
    "assignee=me, by due": lambda _who, turn, _now: {"assignee": "me", "sort": "due", "per_page": 20 + turn % 3},
    "assignee=me and status, by -priority,due": lambda _who, turn, _now: {
        "assignee": "me",
        "status": OPEN[turn % 2],
        "sort": "-priority,due",
    },
    "created_after, newest": lambda _who, turn, now: {"created_at_after": _before(now, turn)},
    "due before a day and open, by due": lambda _who, turn, now: {
        "filter": f"due < {_before(now, turn)[:10]} and status_category in (todo, in_progress)",
        "sort": "due",
    },
    "a label, by -updated_at": lambda _who, turn, _now: {"labels": dataset.LABELS[turn % 60], "sort": "-updated_at"},
    "title, from a to z": lambda _who, turn, _now: {"sort": "title", "per_page": 20 + turn % 3},
}
SEARCHES: Mapping[str, Parameters] = {
    "a rare word (seven tasks)": lambda _who, turn, _now: {"q": dataset.RARE, "per_page": 20 + turn % 3},
    "a word of 1 in 400": lambda _who, turn, _now: {"q": word(RANKS_OF_MIDDLE, turn)},
    "a common word, 1 in 6": lambda _who, turn, _now: {"q": word(RANKS_OF_COMMON, turn)},
    "a common and a middle word": lambda _who, turn, _now: {
        "q": f"{word(RANKS_OF_COMMON, turn)} {word(RANKS_OF_MIDDLE, turn)}"
    },
    "two common words": lambda _who, turn, _now: {
        "q": f"{word(RANKS_OF_COMMON, turn)} {word(RANKS_OF_COMMON, turn + 3)}"
    },
    "a common word in open tasks": lambda _who, turn, _now: {"q": word(RANKS_OF_COMMON, turn), "status": "todo"},
    "a word with a typo": lambda _who, turn, _now: {"q": misspelled(turn)},
}
EVERYWHERE: Mapping[str, Parameters] = {
    "a rare word": lambda _who, turn, _now: {"q": dataset.RARE, "per_page": 10 + turn % 3},
    "a word of 1 in 400": lambda _who, turn, _now: {"q": word(RANKS_OF_MIDDLE, turn)},
    "a common word": lambda _who, turn, _now: {"q": word(RANKS_OF_COMMON, turn)},
    "a word with a typo": lambda _who, turn, _now: {"q": misspelled(turn)},
}
COUNTS: Mapping[str, Parameters] = {
    "by status": lambda _who, _turn, _now: {"group_by": "status"},
    "by status and assignee": lambda _who, _turn, _now: {"group_by": "status,assignee"},
    "by priority, in a project": lambda who, turn, _now: {
        "group_by": "priority",
        "filter": f"project_id = {who.projects[turn % len(who.projects)]}",
    },
}
CASES: Sequence[Case] = (
    *(Case("list", name, "/tasks", parameters) for name, parameters in LISTS.items()),
    *(Case("search", name, "/tasks", parameters) for name, parameters in SEARCHES.items()),
    *(Case("search", f"everywhere, {name}", "/search", parameters) for name, parameters in EVERYWHERE.items()),
    *(Case("count", name, "/tasks/aggregate", parameters) for name, parameters in COUNTS.items()),
)
WALK = {"priority": "low", "per_page": 100}
"""A walk to the end of what is one task of seven."""
