"""All SQL on the change log."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, reduce
from itertools import accumulate, groupby
from operator import add, itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from chassis.outbox.publishing import wake_relay
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Insert,
    Integer,
    RowMapping,
    Select,
    String,
    Text,
    and_,
    any_,
    bindparam,
    except_,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.types import TypeEngine

from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.shares.models import TaskShare
from tasks_service.visibility.repository import IDS, PROJECTS, Sight, project, project_rank, seen, seen_by, sight_of
from tasks_service.workspaces.models import Member

change = table_of(Change)
counter = table_of(ChangeCounter)
member = table_of(Member)
share = table_of(TaskShare)

OF_WORKSPACE: ColumnElement[UUID] = bindparam("of_workspace", type_=PG_UUID(as_uuid=True))
COUNT: ColumnElement[int] = bindparam("count", type_=BigInteger)
NOBODY: ColumnElement[Any] = literal_column("'{}'::uuid[]", IDS)
MEMBERS = select(member.c.user_id, member.c.role).where(member.c.workspace_id == OF_WORKSPACE)
READERS = (
    select(project.c.id, func.array_agg(member.c.user_id).label("readers"))
    .select_from(PROJECTS)
    .where(project.c.id == any_(bindparam("of_projects", type_=IDS)), project_rank(member.c.user_id) > 0)
    .group_by(project.c.id)
)
SHARED_WITH = (
    select(share.c.task_id.label("id"), func.array_agg(share.c.user_id).label("readers"))
    .where(share.c.task_id == any_(bindparam("of_tasks", type_=IDS)))
    .group_by(share.c.task_id)
)
IN_ROLES = (
    select(member.c.role, func.array_agg(member.c.user_id).label("members"))
    .where(member.c.workspace_id == OF_WORKSPACE)
    .group_by(member.c.role)
    .cte("in_roles")
)
TOLD = (
    "event_id",
    "type",
    "occurred_at",
    "actor",
    "reason",
    "quiet",
    "entity_type",
    "entity_id",
    "project_id",
    "task_id",
    "related_task_id",
    "version",
    "changes",
    "resource",
    "request_id",
    "traceparent",
)
"""What is told of an entry of the log as it is written; its number, and who sees it, are found with it."""
GIVEN: Mapping[str, TypeEngine[Any]] = {
    "place": Integer(),
    **{name: change.c[name].type for name in TOLD},
    "of_project": PG_UUID(as_uuid=True),
    "of_task": PG_UUID(as_uuid=True),
    "of_roles": ARRAY(String),
    "also": IDS,
    "lost_by": IDS,
}
"""What a statement is given of an entry: where it stands, what is told of it, and who it is for."""


def _parameter(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a field of a single entry as SQL. A text is not cast to its length, which would cut what is too long."""
    if isinstance(kind, JSON):
        return as_type(bindparam(f"given_{name}", type_=Text), kind)
    return bindparam(f"given_{name}", type_=kind)


GIVEN_MANY = (
    func.json_to_recordset(as_type(bindparam("entries", type_=Text), JSON))
    .table_valued(*(Column(name, kind) for name, kind in GIVEN.items()), name="given")
    .render_derived(with_types=True)
)
"""That of entries as a JSON array."""
JSON_FIELDS = tuple(name for name, kind in GIVEN.items() if isinstance(kind, JSON))
GIVEN_ONE = select(*(_parameter(name, kind).label(name) for name, kind in GIVEN.items())).subquery("given")
"""The same of a single entry by parameters, which are cheaper to take apart than JSON, and planned as the one row."""
MOST_AT_ONCE, MOST_BYTES = 2_000, 16 * 1024 * 1024
"""How many entries go into one statement, and how much JSON of several: each is bounded in time, whoever sees them."""
HEADS_AFTER = "taskloom_heads_after"
"""Where a session has the heads that its last change of the log left, and whose they are."""


class Sought(NamedTuple):
    """What entries have of GIVEN, so that nothing else is looked for, and whether there is but one."""

    of_project: bool
    of_task: bool
    of_roles: bool
    lost_by: bool
    is_single: bool


SOUGHT = Sought._fields[:-1]
"""What is looked for only where an entry has it."""


async def open_log(session: AsyncSession, workspace_id: UUID) -> None:
    """Begin the log of a new workspace."""
    await session.execute(insert(counter).values(workspace_id=workspace_id, last_seq=0))


async def lock_next_number(session: AsyncSession, workspace_id: UUID) -> int | None:
    """Return the sequence number that the next change will have; until the end nobody else gets one.

    None for a workspace that has no log.
    """
    query = select(counter.c.last_seq).where(counter.c.workspace_id == workspace_id).with_for_update()
    last: int | None = await session.scalar(query)
    return None if last is None else last + 1


async def members_of(session: AsyncSession, workspace_id: UUID) -> Sequence[tuple[UUID, str]]:
    """Return the members of the workspace now, with their roles, in the order of their ids."""
    rows = await session.execute(MEMBERS, {"of_workspace": workspace_id})
    return sorted((row.user_id, row.role) for row in rows)


async def readers_of_projects(session: AsyncSession, project_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Return who sees each of the projects now."""
    rows = await session.execute(READERS, {"of_projects": sorted(project_ids)})
    return {row[0]: row[1] for row in rows}


async def append(
    session: AsyncSession, *, workspace_id: UUID, entries: Sequence[Mapping[str, Any]], caller: Principal | None
) -> None:
    """Write entries of the log under the next numbers of a workspace, each for those who see it now.

    The counter stays locked until the end, and the relay is told after the commit. The heads of a caller are kept for
    `heads_after`. Not within a savepoint: what is rolled back to it takes its numbers along.
    """
    session.info.pop(HEADS_AFTER, None)
    wake_relay(session, change)
    keeper = None if session.in_nested_transaction() else caller
    sought, values = _sought_by(entries), _values(workspace_id, entries)
    parts = [_as_parameters(entries[0])] if sought.is_single else [{"entries": some} for some in _as_json(entries)]
    of_first = {**values, "count": len(entries), **parts[0]}
    start, is_first_written = await _append_first(session, sought, of_first, keeper)
    for part in parts[1:] if is_first_written else parts:
        await session.execute(_adding(sought), {**values, "start": start, **part})


async def _append_first(
    session: AsyncSession, sought: Sought, values: Mapping[str, Any], keeper: Principal | None
) -> tuple[int, bool]:
    """Take numbers, and write entries if all that decides who sees them is known; return the number before the first.

    The statement's snapshot is older than its lock on the counter. It has what the counter's last holder committed, and
    all who were before, if the counter stands there as it was locked; otherwise it only takes the numbers, and what has
    a snapshot of its own is to write.
    """
    sight, of_caller = (None, {}) if keeper is None else (sight_of(keeper), seen_by(keeper))
    result = await session.execute(_appending(sought, sight), {**values, **of_caller})
    rows = result.mappings().all()
    [taken], before = _seqs(rows, TAKEN), _seqs(rows, BEFORE)
    start = taken - values["count"]
    if before != [start]:
        return start, False
    if keeper is not None:
        heads = {row["id"]: row["seq"] for row in rows if row["kind"] == HEAD}
        own = values["of_workspace"]
        session.info[HEADS_AFTER] = keeper, {one: taken if one == own else heads[one] for one in heads}
    return start, True


TAKEN, BEFORE, HEAD = "taken", "before", "head"
"""What the rows of _appending tell."""


def _sought_by(entries: Sequence[Mapping[str, Any]]) -> Sought:
    has = {name: any(one[name] for one in entries) for name in SOUGHT}
    return Sought(**has, is_single=len(entries) == 1)


def _values(workspace_id: UUID, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "of_workspace": workspace_id,
        "of_projects": list({one["of_project"] for one in entries} - {None}),
        "of_tasks": list({one["of_task"] for one in entries} - {None}),
    }


def _as_parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a single entry as what GIVEN_ONE is made of."""
    written = {name: _written(entry[name]).decode() for name in JSON_FIELDS}
    return {f"given_{name}": value for name, value in {**entry, **written}.items()}


def _as_json(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return entries as JSON, nearly always as one text of all of them."""
    written = [_written(one) for one in entries]
    parts = [(place // MOST_AT_ONCE, end // MOST_BYTES) for place, end in enumerate(accumulate(map(len, written)))]
    together = groupby(zip(parts, written, strict=True), key=itemgetter(0))
    return [f"[{b','.join(one for _, one in some).decode()}]" for _, some in together]


def _written(value: Any) -> bytes:
    return orjson.dumps(value, default=_as_text)


def _as_text(value: Any) -> str:
    """Return what is no JSON, and is an id: the driver's are of a class of their own. Raises TypeError."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value))


def _seqs(rows: Sequence[RowMapping], kind: str) -> list[int]:
    return [row["seq"] for row in rows if row["kind"] == kind]


@cache
def _appending(sought: Sought, sight: Sight | None) -> CompoundSelect[Any]:
    taken = (
        update(counter)
        .where(counter.c.workspace_id == OF_WORKSPACE)
        .values(last_seq=counter.c.last_seq + COUNT)
        .returning(counter.c.last_seq)
        .cte("taken")
    )
    before = select(counter.c.last_seq).where(counter.c.workspace_id == OF_WORKSPACE).cte("before")
    start = taken.c.last_seq - COUNT
    written = _entries(sought, start, taken.join(before, before.c.last_seq == start)).cte("written")
    nobody = as_type(null(), PG_UUID(as_uuid=True)).label("id")
    shown = [
        select(_told(kind).label("kind"), nobody, found.c.last_seq.label("seq"))
        for kind, found in ((TAKEN, taken), (BEFORE, before))
    ]
    if sight is not None:
        shown.append(_heads(sight).with_only_columns(_told(HEAD), counter.c.workspace_id, counter.c.last_seq))
    return union_all(*shown).add_cte(written).execution_options(**MADE_ONCE)


def _told(kind: str) -> ColumnElement[str]:
    return literal_column(f"'{kind}'", String())


@cache
def _adding(sought: Sought) -> Insert:
    return _entries(sought, bindparam("start", type_=BigInteger)).execution_options(**MADE_ONCE)


def _entries(sought: Sought, start: ColumnElement[int], numbered: FromClause | None = None) -> Insert:
    """Return SQL that writes entries under the numbers after `start`, each for those who see it."""
    given: FromClause = GIVEN_ONE if sought.is_single else GIVEN_MANY
    sources: FromClause = given if numbered is None else numbered.join(given, true())
    people: list[ColumnElement[Any]] = [given.c.also]
    for name, readers in (("of_project", READERS), ("of_task", SHARED_WITH)):
        if getattr(sought, name):
            of_each = readers.cte(f"readers_{name}")
            sources = sources.outerjoin(of_each, of_each.c.id == given.c[name])
            people.append(func.coalesce(of_each.c.readers, NOBODY))
    if sought.of_roles:
        in_role = select(func.unnest(IN_ROLES.c.members)).where(IN_ROLES.c.role == any_(given.c.of_roles))
        people.append(func.array(in_role.correlate(given).scalar_subquery(), type_=IDS))
    seen_here = _each_once(reduce(add, people))
    columns = {
        **{name: given.c[name] for name in TOLD},
        "actor": func.coalesce(given.c.actor, literal_column("'null'::jsonb")),
        "workspace_id": OF_WORKSPACE,
        "seq": start + given.c.place,
        "audience": seen_here.c.audience,
    }
    if sought.lost_by:
        columns["lost_by"] = _others(given.c.lost_by, seen_here.c.audience)
    query = select(*columns.values()).select_from(sources.join(seen_here, true()))
    return insert(change).from_select(list(columns), query)


def _each_once(people: ColumnElement[Any]) -> FromClause:
    """Return people as the `audience` of a row, each of them once. OFFSET 0 keeps it from being looked for twice."""
    one = func.unnest(people).column_valued("one")
    audience = func.array(select(one).distinct().order_by(one).scalar_subquery(), type_=IDS)
    return select(audience.label("audience")).offset(literal_column("0")).lateral("seen_here")


def _others(people: ColumnElement[Any], audience: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return those of the people who are not of the audience, null for none."""
    one, other = (func.unnest(some).column_valued(name) for some, name in ((people, "lost"), (audience, "there")))
    left = except_(select(one), select(other)).order_by(literal_column("1"))
    return func.nullif(func.array(left.scalar_subquery(), type_=IDS), NOBODY)


async def readers_by_share(session: AsyncSession, task_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Return whom each of the tasks is shared with now."""
    rows = await session.execute(SHARED_WITH, {"of_tasks": sorted(task_ids)})
    return {row[0]: row[1] for row in rows}


async def is_recorded(session: AsyncSession, *, draft: ChangeDraft, event_id: UUID) -> bool:
    """Tell whether the log has an event, or this or a later version of the resource that it is about."""
    is_known = and_(change.c.entity_id == draft.entity_id, change.c.version >= draft.version)
    found = await session.scalar(select(change.c.seq).where(or_(change.c.event_id == event_id, is_known)).limit(1))
    return found is not None


@cache
def _heads(sight: Sight) -> Select[Any]:
    return (
        select(counter.c.workspace_id, counter.c.last_seq)
        .join(member, member.c.workspace_id == counter.c.workspace_id)
        .where(*seen(sight))
        .execution_options(**MADE_ONCE)
    )


@cache
def state_of_log(sight: Sight) -> Select[Any]:
    """Return the statement for what tells, in 16 bytes, where the logs stand of all that a caller sees.

    All that decides about what a caller sees is written with an entry of one of these, in one commit: as long as they
    stand there, it is as it was. Null for who sees no workspace.
    """
    head = _heads(sight).subquery("head")
    each = func.concat(head.c.workspace_id, literal_column("'-'"), head.c.last_seq)
    all_of_them = func.string_agg(each, aggregate_order_by(literal_column("','"), head.c.workspace_id))
    digest = func.encode(func.sha256(func.convert_to(all_of_them, literal_column("'UTF8'"))), literal_column("'hex'"))
    return select(as_type(func.left(digest, literal_column("32")), PG_UUID(as_uuid=True)))


async def heads_for(reader: AsyncSession | AsyncConnection, caller: Principal) -> dict[UUID, int]:
    """Return the last sequence number of each workspace that the caller may see."""
    rows = (await reader.execute(_heads(sight_of(caller)), seen_by(caller))).mappings().all()
    return {row["workspace_id"]: row["last_seq"] for row in rows}


async def heads_after(session: AsyncSession, caller: Principal) -> dict[UUID, int]:
    """Return what heads_for does after a change: as it was read with the change, when that was the caller's."""
    kept: tuple[Principal, dict[UUID, int]] | None = session.info.get(HEADS_AFTER)
    return kept[1] if kept is not None and kept[0] == caller else await heads_for(session, caller)
