"""A workspace with as many tasks as are wanted: the same ones each time, and the smaller sizes are in the larger.

50 projects, 200 members, words as in a language: few are everywhere, and most are rare. Tasks are made ever faster in
the course of a year, so that what a filter matches of the last days is about the same share of each size.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH = 1_000
PROJECTS = 50
OPEN_PROJECTS = 35
ARCHIVED = (33, 34)
OWNER, ADMINS, MEMBERS, GUESTS = 0, range(1, 4), range(4, 150), range(150, 200)
OF_PROJECTS, OF_TASKS = range(150, 185), range(185, 200)
"""Guests: who has a role in two projects, and who sees single tasks."""
VOCABULARY = 20_000
RARE = "quixotarium"
"""Seven tasks of the first thousand have it in their title, at each size."""
HAVE_RARE = frozenset(range(77, 1000, 143))
END = datetime(2026, 11, 25, tzinfo=UTC)
YEAR = timedelta(days=360)
BEGIN = END - YEAR
BERLIN = ZoneInfo("Europe/Berlin")
STATUSES = (("todo", 45), ("in_progress", 15), ("done", 35), ("cancelled", 5))
PRIORITIES = (("none", 40), ("low", 15), ("medium", 25), ("high", 15), ("urgent", 5))
DUES = ((None, 45), ("date", 30), ("at", 15), ("local", 10))
NULL = r"\N"
Row = tuple[Any, ...]


def words() -> list[str]:
    """Return the vocabulary, the commonest first."""
    rng = random.Random("words")
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ol", "in")]
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(rng.choices(syllables, k=rng.choice((2, 3, 3, 4))))] = None
    return list(found)


WORDS = words()
_WEIGHTS = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
_SIZES_OF_PROJECTS = list(accumulate(1 / (place + 4) for place in range(PROJECTS)))


def identifier(kind: str, number: int) -> str:
    """Return the id of what there is a fixed number of."""
    return _uuid7(BEGIN - timedelta(days=1), random.Random(f"{kind}/{number}"))


def _uuid7(at: datetime, rng: random.Random) -> str:
    value = int(at.timestamp() * 1000) << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


WORKSPACE = identifier("workspace", 0)
USERS = [identifier("user", number) for number in range(GUESTS.stop)]
PROJECT_IDS = [identifier("project", number) for number in range(PROJECTS)]
LABELS = [identifier("label", number) for number in range(60)]
CATEGORIES = [identifier("category", number) for number in range(10)]


def role(user: int) -> str:
    """Return the role in the workspace of a user."""
    return "owner" if user == OWNER else "admin" if user in ADMINS else "member" if user in MEMBERS else "guest"


def project_roles() -> dict[tuple[int, int], str]:
    """Return the roles in projects by project and user: of eight in each private one, and of guests in two."""
    roles: dict[tuple[int, int], str] = {}
    for place in range(OPEN_PROJECTS, PROJECTS):
        roles |= {(place, MEMBERS[(place * 11 + turn * 17) % len(MEMBERS)]): "editor" for turn in range(8)}
    for guest in OF_PROJECTS:
        first = 5 + (guest - OF_PROJECTS.start) * 7
        roles |= {(place % PROJECTS, guest): "editor" if guest % 2 == 0 else "viewer" for place in (first, first + 9)}
    return roles


def pools() -> list[list[str]]:
    """Return who may be given tasks, by project."""
    everybody = [USERS[user] for user in (OWNER, *ADMINS, *MEMBERS)]
    roles = project_roles()
    return [
        (everybody if place < OPEN_PROJECTS else []) + [USERS[user] for project, user in roles if project == place]
        for place in range(PROJECTS)
    ]


POOLS = pools()


def created_at(index: int) -> datetime:
    """Return when a task was made; the first that is not made yet tells what time it is."""
    return BEGIN + YEAR * (math.log1p(index / SIZES[0]) / math.log1p(SIZES[-1] / SIZES[0]))


def places(number: int) -> list[int]:
    """Return which projects the tasks of a batch are in."""
    return random.Random(f"places/{number}").choices(range(PROJECTS), cum_weights=_SIZES_OF_PROJECTS, k=BATCH)


@lru_cache(maxsize=2)
def numbers_before(number: int) -> Counter[int]:
    """Return how many tasks each project has before a batch."""
    return sum((Counter(places(one)) for one in range(number)), Counter[int]())


@dataclass(slots=True)
class Batch:
    """The rows of some tasks, by table and as PostgreSQL's COPY reads them."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})

    def text(self, table: str) -> bytes:
        """Return the rows of a table."""
        lines = ("\t".join([NULL if value is None else str(value) for value in row]) for row in self.rows[table])
        return "".join(f"{line}\n" for line in lines).encode()


COLUMNS: dict[str, tuple[str, ...]] = {
    "task": (
        *("id", "workspace_id", "project_id", "number", "title", "description", "status", "priority"),
        *("due_kind", "due_date", "due_at", "due_local", "due_timezone", "start_date", "deadline", "estimate_minutes"),
        *("category_id", "labels", "parent_id", "subtasks_total", "subtasks_done", "assigned_to", "assignees"),
        *("completed_at", "completed_by", "created_by", "version", "created_at", "updated_at"),
    ),
    "assignee": ("workspace_id", "task_id", "user_id", "state", "assigned_by", "assigned_at"),
    "watcher": ("workspace_id", "task_id", "user_id", "reason", "is_watching", "is_muted", "created_at"),
    "star": ("workspace_id", "user_id", "task_id", "created_at"),
    "comment": ("id", "workspace_id", "task_id", "author_id", "body", "mentions", "version", "created_at"),
}
"""What is given of a row; the database fills in the rest, as it does in life."""


def batch(number: int) -> Batch:
    """Return the tasks of a batch with what hangs on them."""
    rng = random.Random(f"batch/{number}")
    made, numbers, tasks = Batch(), numbers_before(number).copy(), []
    for index, place in enumerate(places(number), start=number * BATCH):
        numbers[place] += 1
        tasks.append({"number": numbers[place], **_task(rng, index, place)})
    _nest(rng, tasks)
    for task in tasks:
        made.rows["task"].append(tuple(task[column] for column in COLUMNS["task"]))
        for table, rows in _around(rng, task):
            made.rows[table] += rows
    return made


def _task(rng: random.Random, index: int, place: int) -> dict[str, Any]:
    made = created_at(index)
    status = _of(rng, STATUSES)
    creator = rng.choice(POOLS[place])
    people = rng.sample(POOLS[place], k=min(len(POOLS[place]), rng.choices((0, 1, 2, 3), (20, 55, 17, 8))[0]))
    done_at = made + timedelta(hours=rng.randint(1, 900)) if status == "done" else None
    due, is_due = _due(rng, made)
    return {
        "id": _uuid7(made, rng),
        "workspace_id": WORKSPACE,
        "project_id": PROJECT_IDS[place],
        "title": _title(rng, index),
        "description": None if rng.random() < 0.1 else _text(rng, 25, 55),
        "status": status,
        "priority": _of(rng, PRIORITIES),
        **due,
        **_plan(rng, is_due or made.date(), has_due=is_due is not None),
        "category_id": rng.choice(CATEGORIES) if rng.random() < 0.4 else None,
        "labels": _array(rng.sample(LABELS, k=rng.choices((0, 1, 2, 3), (40, 35, 17, 8))[0])),
        "parent_id": None,
        "subtasks_total": 0,
        "subtasks_done": 0,
        "assigned_to": people[0] if people else None,
        "assignees": _array(people),
        "people": people,
        "completed_at": done_at,
        "completed_by": creator if done_at else None,
        "created_by": creator,
        "version": 1 if done_at is None else 2,
        "created_at": made,
        "updated_at": done_at or made,
    }


def _due(rng: random.Random, made: datetime) -> tuple[dict[str, Any], date | None]:
    """Return the fields of a due, and its day."""
    kind = _of(rng, DUES)
    due: dict[str, Any] = dict.fromkeys(("due_date", "due_at", "due_local", "due_timezone"))
    local = (made + timedelta(minutes=15 * rng.randint(-500, 6000))).replace(tzinfo=None, microsecond=0)
    if kind == "date":
        due["due_date"] = local.date()
    elif kind is not None:
        due["due_local"] = local
    if kind == "at":
        due |= {"due_timezone": BERLIN.key, "due_at": local.replace(tzinfo=BERLIN)}
    return {"due_kind": kind, **due}, local.date() if kind else None


def _plan(rng: random.Random, day: date, *, has_due: bool) -> dict[str, Any]:
    """Return the other dates: what has a due starts before it, and ends after it."""
    start = day + timedelta(days=rng.randint(-20, -1) if has_due else rng.randint(0, 30))
    return {
        "start_date": start if rng.random() < 0.2 else None,
        "deadline": max(start, day) + timedelta(days=rng.randint(1, 60)) if rng.random() < 0.2 else None,
        "estimate_minutes": 15 * rng.randint(1, 64) if rng.random() < 0.3 else None,
    }


def _nest(rng: random.Random, tasks: Sequence[dict[str, Any]]) -> None:
    """Put one in ten below an earlier one of the same project, which counts it."""
    tops: dict[str, dict[str, Any]] = {}
    for task in tasks:
        top = tops.get(task["project_id"])
        if top is None or rng.random() > 0.1:
            tops[task["project_id"]] = task
            continue
        task["parent_id"] = top["id"]
        top["subtasks_total"] += 1
        top["subtasks_done"] += task["status"] == "done"


def _around(rng: random.Random, task: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Yield what hangs on a task, by table."""
    made, of_task = task["created_at"], (WORKSPACE, task["id"])
    state = "done" if task["status"] == "done" else "pending"
    yield "assignee", [(*of_task, user, state, task["created_by"], made) for user in task["people"]]
    yield "watcher", [(*of_task, task["created_by"], "created", True, False, made)]
    if rng.random() < 0.02:
        yield "star", [(WORKSPACE, rng.choice(USERS[: GUESTS.start]), task["id"], made)]
    for _ in range(rng.choices((0, 1, 2, 3), (70, 15, 10, 5))[0]):
        said = made + timedelta(hours=rng.randint(1, 200))
        author = rng.choice(USERS[: GUESTS.start])
        yield "comment", [(_uuid7(said, rng), *of_task, author, _text(rng, 8, 22), "{}", 1, said)]


def _title(rng: random.Random, index: int) -> str:
    title = _text(rng, 3, 8).capitalize()
    return f"{title} {RARE}" if index in HAVE_RARE else title


def _text(rng: random.Random, least: int, most: int) -> str:
    return " ".join(rng.choices(WORDS, cum_weights=_WEIGHTS, k=rng.randint(least, most)))


def _of(rng: random.Random, shares: Sequence[tuple[Any, int]]) -> Any:
    return rng.choices([value for value, _ in shares], [share for _, share in shares])[0]


def _array(ids: Sequence[str]) -> str:
    return f"{{{','.join(ids)}}}"
