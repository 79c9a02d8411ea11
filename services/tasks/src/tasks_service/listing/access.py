"""How a list is asked for: by parameters or by a body, which come to the same query."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from inspect import Parameter, Signature
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.errors import ErrorDetail, InvalidInput
from chassis.filtering.binding import bind_all
from chassis.filtering.documents import parse_filter
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.filtering.parameters import FlatParameter, flat_parameters, parse_parameters
from chassis.filtering.values import Context
from chassis.filtering.written import Written
from chassis.identity import Principal
from chassis.paging import DEFAULT_PER_PAGE, MAX_OFFSET, MAX_PER_PAGE, Paging
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Query, Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.access import FreshConnection
from tasks_service.fields.rules import FIELDS
from tasks_service.includes.access import fields_of
from tasks_service.includes.schemas import MAX_FIELDS
from tasks_service.includes.service import REGISTRY
from tasks_service.listing.schemas import UTC, Asked, TaskListed, TaskSearch
from tasks_service.listing.service import Settled, settle
from tasks_service.saved_filters.errors import FilterNotFound
from tasks_service.saved_filters.rules import read
from tasks_service.saved_filters.service import find_chosen
from tasks_service.searching.rules import Scope, refuse_scope
from tasks_service.searching.schemas import SearchedFor
from tasks_service.sorting.rules import MAX_KEYS, SORTABLE, refuse_rank, sort_of
from tasks_service.timezones.rules import named_or

FLAT = flat_parameters(FIELDS)
NOBODY = Context(UUID(int=0), UTC, datetime(2026, 1, 1, tzinfo=UTC))
MEANINGS = {"<": "Before this, by", ">": "After this, by"}
KNOWN = tuple(TaskListed.model_fields)


def _described(parameter: FlatParameter) -> str:
    if parameter.operator != "=":
        return f"{MEANINGS[parameter.operator]} the field `{parameter.field.name}`."
    several = "repeated or joined by commas" if parameter.is_split else "repeated"
    none = "; `none` for what has no value" if parameter.takes_none else ""
    return f"{parameter.field.description} One of these, {several}{none}."


def _declared(parameter: FlatParameter) -> Parameter:
    annotation = Annotated[list[str] | None, Query(description=_described(parameter))]
    return Parameter(parameter.name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


@refuses(FilterTooComplex)
async def flat_filter(request: Request, **_given: Any) -> Written | None:
    """Return what the parameters named like fields ask for. Raises FilterTooComplex.

    The query is read as it came: what may have commas in it must not be split at them.
    """
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name in FLAT:
            given.setdefault(name, []).append(value)
    return parse_parameters(given, FIELDS)


# FastAPI goes by the signature: one parameter for each of the fields.
flat_filter.__signature__ = Signature(  # type: ignore[attr-defined] # a function has any
    [
        Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=Request),
        *(_declared(one) for one in FLAT.values()),
    ]
)
FlatFilter = Annotated[Written | None, Depends(flat_filter)]


@refuses(InvalidFilter, FilterTooComplex)
async def text_filter(
    filter: Annotated[  # noqa: A002 - the parameter is called so
        str | None,
        Query(
            description=(
                "Which tasks, such as `assignee = me and (due < today()+7d or priority = urgent)`; "
                "`GET /meta/tasks/fields` has the fields, operators and functions. Joined with the other parameters by "
                "AND."
            )
        ),
    ] = None,
) -> Written | None:
    """Return what `filter` asks for. Raises InvalidFilter or FilterTooComplex."""
    return None if filter is None else parse_filter(filter)


TextFilter = Annotated[Written | None, Depends(text_filter)]


def included(names: Iterable[str]) -> tuple[str, ...]:
    """Return what to add to each task. Raises InvalidInput for what can't be."""
    found = tuple(dict.fromkeys(names))
    if problems := [
        ErrorDetail("NOT_ALLOWED", "This is not one of the allowed values.", "include", allowed=sorted(REGISTRY))
        for name in found
        if name not in REGISTRY
    ]:
        raise InvalidInput(details=problems)
    return found


def _all_right(filters: Sequence[Written], sort: Sequence[str], fields: Sequence[str]) -> None:
    """Raise InvalidInput for all that is wrong with a list, at once, so that it is told with what else is wrong.

    Whoever asks, and when, makes no difference to that.
    """
    problems: list[ErrorDetail] = []
    for check in (
        lambda: bind_all(filters, FIELDS, NOBODY),
        lambda: sort_of(sort),
        lambda: fields_of(fields, KNOWN),
    ):
        try:
            check()
        except InvalidInput as refusal:
            problems += refusal.details
    if problems:
        # Of two wrong values of a parameter the same is told.
        raise InvalidInput(details=[one for at, one in enumerate(problems) if one not in problems[:at]])


class Words(NamedTuple):
    """What is searched for, and in what; nothing is all."""

    q: str | None
    scope: tuple[Scope, ...]


async def searched(
    q: Annotated[
        SearchedFor | None,
        Query(
            description=(
                'What is searched for: words, `"phrases"`, `or`, `-not`, the last word also as the beginning of one; '
                "or the key of a task, or its number. Joined with filters by AND."
            ),
        ),
    ] = None,
    scope: Annotated[
        list[Scope] | None,
        Query(description="What `q` is searched in, repeated or joined by commas; all if not given. Only with `q`."),
    ] = None,
) -> Words:
    """Return what is searched for."""
    return Words(q, tuple(scope or ()))


Searched = Annotated[Words, Depends(searched)]


async def asked_list(
    flat: FlatFilter,
    text: TextFilter,
    words: Searched,
    sort: Annotated[
        list[str] | None,
        Query(
            description=(
                f"Up to {MAX_KEYS} of {', '.join(f'`{name}`' for name in SORTABLE)}, joined by commas; `-` before one "
                "turns it round. What has no value is last both ways. Newest first without it."
            )
        ),
    ] = None,
    fields: Annotated[
        list[str] | None,
        Query(max_length=MAX_FIELDS, description="What of each task to show, joined by commas; `id` always is."),
    ] = None,
) -> Asked:
    """Return what the parameters ask for. Raises InvalidInput for all that is wrong with them."""
    filters = tuple(one for one in (flat, text) if one is not None)
    _all_right(filters, sort or (), fields or ())
    return Asked(filters, sort_of(sort or ()), fields_of(fields or (), KNOWN), q=words.q, scope=words.scope)


AskedList = Annotated[Asked, Depends(asked_list)]
Archived = Annotated[
    Flag,
    Query(description="Whether tasks of archived projects are listed, too; those that `project_id` names are."),
]


PLAIN = frozenset({*FLAT, "sort", "page", "per_page"})
"""The parameters of nearly all lists."""
KEPT_PLAIN = 256
"""Most lists are asked for in the same few words, by many."""
LONGEST_KEPT = 300
"""Of how many characters the values of a list may be that is kept; what is asked with more takes much more to keep."""
NUMBER = re.compile(r"[1-9][0-9]{0,4}")


Parameters = tuple[tuple[str, tuple[str, ...]], ...]


class Plain(NamedTuple):
    """What plain parameters ask for, and what that comes to for whoever asks, if it is the same for all.

    It `has_kept_page` where what its page shows depends on what the log tells alone, and it is asked for in few words.
    """

    given: Parameters
    asked: Asked
    paging: Paging
    settled: Settled | None
    has_kept_page: bool


def asked_plainly(parameters: Mapping[str, Sequence[str]]) -> Plain | None:
    """Return what parameters of PLAIN ask for; None where they are not plain enough. Raises what asked_list raises."""
    given = tuple((name, tuple(texts)) for name, texts in parameters.items())
    return _kept_plain(given) if _is_short(given) else _plain(given)


def _is_short(given: Parameters) -> bool:
    return sum(len(text) for _, texts in given for text in texts) <= LONGEST_KEPT


def _plain(parameters: Parameters) -> Plain | None:
    given = dict(parameters)
    page, per_page = (_number(given.get(name, default)) for name, default in DEFAULT_PAGE.items())
    if page is None or per_page is None or per_page > MAX_PER_PAGE or page * per_page > MAX_OFFSET:
        return None
    flat = parse_parameters(given, FIELDS)
    sort = [part for text in given.get("sort", ()) for part in text.split(",")]
    asked = narrowed(Asked(() if flat is None else (flat,), sort_of(sort)), None)
    paging = Paging(page, per_page, None)
    settled = settle(asked, paging)
    has_kept_page = settled is not None and settled.is_of_tasks and _is_short(parameters)
    return Plain(parameters, asked, paging, settled, has_kept_page)


_kept_plain = lru_cache(maxsize=KEPT_PLAIN)(_plain)
DEFAULT_PAGE = {"page": ("1",), "per_page": (str(DEFAULT_PER_PAGE),)}


def _number(given: Sequence[str]) -> int | None:
    return int(given[0]) if len(given) == 1 and NUMBER.fullmatch(given[0]) else None


def asked_by(body: TaskSearch, zone: ZoneInfo | None) -> Asked:
    """Return what a body asks for; `zone` is that of the query or the header. Raises what the parameters raise."""
    filters = () if body.filter is None else (parse_filter(body.filter),)
    sort = body.sort or ()
    _all_right(filters, sort, body.fields or ())
    named = named_or(body.tz, zone)
    return Asked(
        filters,
        sort_of(sort),
        fields_of(body.fields or (), KNOWN),
        archived=bool(body.archived),
        zone=named,
        q=body.q,
        scope=tuple(body.scope or ()),
    )


async def chosen(reader: AsyncConnection, caller: Principal, filter_id: UUID | None) -> RowMapping | None:
    """Load the saved filter that a list is asked for by. Raises FilterNotFound."""
    return None if filter_id is None else await find_chosen(reader, caller=caller, filter_id=filter_id)


@refuses(FilterNotFound)
async def chosen_filter(
    caller: CurrentPrincipal,
    connection: FreshConnection,
    filter_id: Annotated[
        UUID | None,
        Query(
            description=(
                "A saved filter, joined with your other filters by AND, as yours: `me`, dates and what you see are "
                "your own. Its `sort` and its `q` count where you give none; yours take their place."
            )
        ),
    ] = None,
) -> RowMapping | None:
    """Load the saved filter that `filter_id` names. Raises FilterNotFound."""
    return await chosen(connection, caller, filter_id)


ChosenFilter = Annotated[RowMapping | None, Depends(chosen_filter)]


def narrowed(asked: Asked, saved: Mapping[Any, Any] | None) -> Asked:
    """Return what is asked for with a saved filter, whose sort and search count where there is none.

    Raises InvalidInput and InvalidFilter for what it means no more.
    """
    field = "sort"
    if saved is not None:
        kept = () if saved["filter"] is None else (read(saved["filter"]),)
        asked = replace(asked, filters=(*asked.filters, *kept), q=saved["q"] if asked.q is None else asked.q)
        if saved["sort"] is not None and not asked.sort:
            field = "filter_id"
            asked = replace(asked, sort=sort_of(saved["sort"].split(","), field=field))
    if asked.q is None:
        refuse_rank(asked.sort, field=field)
        refuse_scope(asked.scope)
    return asked
