"""What lists of tasks are asked for, and how they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.tree import EVERYTHING, Node
from chassis.filtering.written import Written
from chassis.paging import DEFAULT_PER_PAGE, MAX_CURSOR, MAX_OFFSET, MAX_PER_PAGE
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from tasks_service.fields.schemas import WrittenFilter
from tasks_service.includes.schemas import MAX_FIELDS, SparseTask, TaskShown, part_of
from tasks_service.searching.rules import SCOPES, Scope, rank_of
from tasks_service.searching.schemas import Highlight, SearchedFor
from tasks_service.searching.service import Shown
from tasks_service.sorting.rules import NEWEST, Order, Sort
from tasks_service.tasks.schemas import TaskOut
from tasks_service.timezones.schemas import ZoneName

UTC = ZoneInfo("UTC")
MAX_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A list as it was asked for: nothing that depends on who asks, or when, is known yet."""

    filters: tuple[Written, ...] = ()
    sort: Sequence[Order] = ()
    fields: Sequence[str] = ()
    archived: bool = False
    zone: ZoneInfo | None = None
    q: str | None = None
    # Empty is all.
    scope: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks a list is of, and in what order.

    `node` is a bound tree: relative dates are resolved as of when it `began`, None if there are none, and `zone`
    is where days begin. Where nothing depends on it, it is looked up with the page, and `tells_zone_later` is true.
    `told` is what the answer says of all this.
    """

    began: datetime | None = None
    node: Node = EVERYTHING
    sort: Sort = NEWEST
    zone: ZoneInfo = UTC
    archived: bool = False
    q: str | None = None
    scope: tuple[Scope, ...] = SCOPES
    tells_zone_later: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)


class TaskListed(TaskShown):
    """A task in a list. With `fields`, what is not named there is absent."""

    rank: float | None = Field(
        default=None,
        ge=0,
        le=1,
        json_schema_extra={"readOnly": True},
        description="With `q`: how well it fits, from 0 to 1. Only in lists that are searched.",
    )
    highlights: list[Highlight] | None = Field(
        default=None,
        json_schema_extra={"readOnly": True},
        description="With `q`: where the words are. Only in lists that are searched.",
    )


def found_alone(
    tasks: Sequence[TaskOut], found: Mapping[UUID, Shown], fields: Sequence[str], always: Sequence[str]
) -> Sequence[BaseModel]:
    """Return the same of tasks that were searched, with how well each fits, and where."""
    shown = [
        {**vars(one), "rank": rank_of(found[one.id].points), "highlights": found[one.id].highlights} for one in tasks
    ]
    return [SparseTask.model_construct(part_of(one, fields, always)) for one in shown]


ShortText = Annotated[str, StringConstraints(max_length=200)]


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _listed(*, max_items: int, **entry: Any) -> WithJsonSchema:
    entries = {"type": "string", **entry}
    return WithJsonSchema({"anyOf": [{"type": "array", "items": entries, "maxItems": max_items}, {"type": "string"}]})


Split = BeforeValidator(_split)
"""Lets a list be one text, joined by commas, as a parameter of a query is."""


class TaskSearch(BaseModel):
    """What to list: the same as the parameters of `GET /tasks`, but that the filter may be JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"filter": "assignee = me and due < today()+7d", "sort": "-priority,due"},
                {"filter": {"not": {"field": "status_category", "op": "in", "value": ["done", "cancelled"]}}},
            ]
        },
    )

    filter: WrittenFilter | None = Field(
        default=None, description="Which tasks, as text or as JSON; all that you can see when absent."
    )
    filter_id: UUID | None = Field(
        default=None,
        description="A saved filter, joined by AND; its `sort` and its `q` count where you give none of your own.",
    )
    q: SearchedFor | None = Field(default=None, description="What is searched for, as in `GET /tasks`.")
    scope: Annotated[list[Scope], Split, _listed(max_items=len(SCOPES), enum=list(SCOPES))] | None = Field(
        default=None,
        min_length=1,
        max_length=len(SCOPES),
        description="What `q` is searched in, as a list or joined by commas; all if absent. Only with `q`.",
    )
    sort: Annotated[list[ShortText], Split, _listed(max_items=MAX_ENTRIES)] | None = Field(
        default=None,
        max_length=MAX_ENTRIES,
        description="Up to 4 keys, as a list or joined by commas; `-` before a key turns it round.",
    )
    fields: Annotated[list[ShortText], Split, _listed(max_items=MAX_FIELDS)] | None = Field(
        default=None,
        max_length=MAX_FIELDS,
        description="What of each task to show, as a list or joined by commas; `id` always is.",
    )
    include: Annotated[list[ShortText], Split, _listed(max_items=MAX_ENTRIES)] | None = Field(
        default=None,
        max_length=MAX_ENTRIES,
        description="What to add to each task, as a list or joined by commas, as in `GET /tasks`.",
    )
    archived: StrictBool | None = Field(default=None, description="Whether tasks of archived projects are listed, too.")
    page: Annotated[StrictInt, Field(ge=1, le=MAX_OFFSET)] | None = Field(
        default=None, description="Page number, from 1; not together with `cursor`."
    )
    per_page: Annotated[StrictInt, Field(ge=1, le=MAX_PER_PAGE)] = Field(
        default=DEFAULT_PER_PAGE, description="How many tasks a page has."
    )
    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR)] | None = Field(
        default=None, description="Empty to begin a walk, then `meta.next_cursor`."
    )
    tz: ZoneName = None
