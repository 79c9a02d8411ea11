"""Pure rules of the order of lists: what tasks are sorted by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chassis.errors import ErrorDetail, InvalidInput, unknown_field

KeyType = Literal["id", "instant", "day", "number", "text"]
MAX_KEYS = 4


@dataclass(frozen=True, slots=True)
class Key:
    """What tasks can be sorted by: the column that has it, of what type, and whether tasks may be without it."""

    column: str
    type: KeyType
    nullable: bool = False


KEYS: Mapping[str, Key] = {
    "id": Key("id", "id"),
    "created_at": Key("created_at", "instant"),
    "updated_at": Key("updated_at", "instant"),
    "due": Key("due_sort", "instant", nullable=True),
    "start": Key("start_date", "day", nullable=True),
    "deadline": Key("deadline", "day", nullable=True),
    "completed_at": Key("completed_at", "instant", nullable=True),
    "priority": Key("priority_rank", "number"),
    "title": Key("title_sort", "text"),
    "estimate_minutes": Key("estimate_minutes", "number", nullable=True),
    "position": Key("position", "text"),
    "rank": Key("rank", "number"),
}
RANK = "rank"
"""How well a task fits what is searched for: only with a search."""
SORTABLE = tuple(name for name in KEYS if name != RANK)
"""What any list is sorted by."""
ALIASES = {"due_at": "due", "due_date": "due", "start_date": "start"}


class Order(NamedTuple):
    """One key of a sort."""

    name: str
    descending: bool

    @property
    def key(self) -> Key:
        return KEYS[self.name]

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name


Sort = tuple[Order, ...]
NEWEST: Sort = (Order("id", descending=True),)
BEST: Sort = (Order(RANK, descending=True), Order("id", descending=True))


def complete(sort: Sequence[Order]) -> Sort:
    """Return a sort that leaves no ties: what comes after the id says nothing, and without one it is added."""
    for place, order in enumerate(sort):
        if order.name == "id":
            return tuple(sort[: place + 1])
    return (*sort, Order("id", sort[-1].descending))


def text_of(sort: Sort) -> str:
    """Return a sort as it may be asked for."""
    return ",".join(str(order) for order in sort)


def sort_of(texts: Iterable[str], *, field: str = "sort") -> Sort:
    """Read the keys of a sort. Raises InvalidInput for all that is wrong with them."""
    orders = [_order(text.strip()) for text in texts]
    names = [order.name for order in orders]
    problems = [unknown_field(name, SORTABLE, field) for name in dict.fromkeys(names) if name not in KEYS]
    if len(set(names)) < len(names):
        problems.append(ErrorDetail("REPEATED_ENTRY", "Each entry may be given only once.", field))
    if len(names) > MAX_KEYS:
        problems.append(ErrorDetail("TOO_MANY", f"A sort has up to {MAX_KEYS} keys.", field))
    if problems:
        raise InvalidInput(details=problems)
    return tuple(orders)


def _order(text: str) -> Order:
    name = text.removeprefix("-").removeprefix("+")
    return Order(ALIASES.get(name, name), descending=text.startswith("-"))


def refuse_rank(sort: Sequence[Order], *, field: str) -> None:
    """Raise InvalidInput for an order by how well something fits, where nothing is searched for."""
    if any(order.name == RANK for order in sort):
        sentence = "Only what is searched for has a rank: give `q`, too."
        raise InvalidInput(details=[ErrorDetail("NOT_ALLOWED", sentence, field, allowed=SORTABLE)])
