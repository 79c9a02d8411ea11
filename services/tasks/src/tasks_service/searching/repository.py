"""SQL that searches. A document shows nothing by itself: every statement here joins it to tasks that the caller sees.

`among` and `fits` are parts of such statements. What a query is, and where it begins, is told as a literal: which
index is right depends on how common the words are, so a plan is made for each.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    Integer,
    Numeric,
    Row,
    RowMapping,
    Select,
    String,
    Text,
    all_,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.comments.repository import comment
from tasks_service.search.repository import (
    COLUMNS,
    FLOOR_ID,
    PLACES,
    QUERY,
    SHARED,
    UUID_TYPE,
    Columns,
    document,
    newest,
    within,
)
from tasks_service.searching.rules import (
    EXACT_POINTS,
    KINDS,
    MOST_NUMBERED,
    POINTS,
    Matching,
    Search,
)
from tasks_service.tasks.repository import HELD, KEY, SHOWN
from tasks_service.visibility.repository import (
    CALLER_ID,
    IDS,
    PROJECTS,
    TASKS,
    project,
    seen_by,
    seen_projects,
    seen_tasks,
    sight_of,
    task,
    task_share,
)

Reader = AsyncConnection | AsyncSession
Condition = ColumnElement[bool]
SHOWN_OF_A_KIND = 3
"""How many comments, and names of attachments, of one task are shown with what fits in them."""
SIZE = text("SELECT reltuples FROM pg_class WHERE oid = 'tasks.search_document'::regclass").columns(column("size"))
TASKS_SIZE = text("SELECT reltuples FROM pg_class WHERE oid = 'tasks.task'::regclass").columns(column("size"))
MANY_PLACES = 10
COARSE, FINE = 2.0, 1.25
"""How many times as deep as the one before each depth is, in which the ids of tasks are asked for, by place."""
FLOOR = """
    WITH probe AS (
        SELECT found.id, depth.weight
        FROM tasks.project
        CROSS JOIN unnest(CAST(:depths AS bigint[]), CAST(:weights AS bigint[])) AS depth (tasks, weight)
        CROSS JOIN LATERAL (
            SELECT task.id FROM tasks.task
            WHERE task.project_id = project.id AND task.number <= project.next_number - depth.tasks
            ORDER BY task.number DESC LIMIT 1
        ) AS found
        WHERE project.id = ANY(CAST(:places AS uuid[]))
    ),
    summed AS (SELECT id, sum(weight) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) AS tasks FROM probe)
    SELECT id FROM summed WHERE tasks >= :wanted ORDER BY id DESC LIMIT 1
"""


class Within(NamedTuple):
    """Where a search looks: None is everywhere."""

    workspace_ids: Sequence[UUID] | None = None
    project_ids: Sequence[UUID] | None = None


class Hits(NamedTuple):
    """Tasks that fit and that the caller sees, the newest; `floor` is the oldest where there are more."""

    ids: Sequence[UUID]
    floor: UUID | None


EVERYWHERE = Within()
Parts = tuple[Search, Matching, Row[Any]]


async def survey(reader: Reader, *, caller: Principal, search: Search, within: Within = EVERYWHERE) -> Row[Any]:
    """Return what a search has before it: the `query`, how many documents it may find of how many (`estimate`, `size`).

    And where: the `places` that the caller sees, how many `tasks` those have had, and the tasks that are `shared`. All
    tasks there are, whoever sees them, are about `all_tasks`.
    """
    shared = select(func.array_agg(task_share.c.task_id)).where(task_share.c.user_id == CALLER_ID)
    query = (
        select(
            select(cast(func.tasks.search_query(search.q), Text)).scalar_subquery().label("query"),
            select(func.tasks.search_estimate(search.q)).scalar_subquery().label("estimate"),
            SIZE.scalar_subquery().label("size"),
            TASKS_SIZE.scalar_subquery().label("all_tasks"),
            func.coalesce(func.array_agg(project.c.id), literal([], IDS), type_=IDS).label("places"),
            func.coalesce(func.sum(project.c.next_number - 1), 0).label("tasks"),
            func.coalesce(shared.scalar_subquery(), literal([], IDS), type_=IDS).label("shared"),
        )
        .select_from(PROJECTS)
        .where(*seen_projects(sight_of(caller)), *_places(within))
    )
    return (await reader.execute(query, seen_by(caller))).one()


async def find_floor(reader: Reader, *, places: Sequence[UUID], tasks: int) -> UUID | None:
    """Return the id from which on there are about so many tasks in these places; None when there are fewer.

    Numbers of tasks follow their making, so each place is asked for the ids at a few depths.
    """
    depths = [max(tasks // (2 * len(places)), 1)]
    growth = COARSE if len(places) > MANY_PLACES else FINE
    while depths[-1] < tasks:
        depths.append(min(math.ceil(growth * depths[-1]), tasks))
    weights = [one - before for one, before in zip(depths, [0, *depths], strict=False)]
    wanted = {"depths": depths, "weights": weights, "places": list(places), "wanted": tasks}
    found: UUID | None = await reader.scalar(text(FLOOR), wanted)
    return found


async def find_hits(reader: Reader, *, caller: Principal, begun: Parts, limit: int | None) -> Hits:
    """Return which tasks fit, the newest of them, by the index of words or, of words that are common, one by one."""
    search, matching, where = begun
    documents = _documents(matching, where)
    # What fits is found first: in the order of ids the planner might walk through all that there is.
    fitting = select(documents.task_id).where(*_fitting(documents, search)).cte("fitting").prefix_with("MATERIALIZED")
    newest = select(fitting.c.task_id).order_by(fitting.c.task_id.desc())
    hit = newest.limit(None if limit is None else limit + 1).cte("hit").prefix_with("MATERIALIZED")
    seen = select(task.c.id).select_from(TASKS.join(hit, hit.c.task_id == task.c.id)).distinct()
    visible = seen.where(*seen_tasks(sight_of(caller))).subquery("seen")
    query = select(
        select(func.count()).select_from(hit).scalar_subquery(),
        select(hit.c.task_id).order_by(hit.c.task_id).limit(1).scalar_subquery(),
        func.coalesce(select(func.array_agg(visible.c.id)).scalar_subquery(), literal([], IDS), type_=IDS),
    )
    found, last, ids = (await reader.execute(query, {**seen_by(caller), **values_of(*begun)})).one()
    return Hits(ids, last if limit is not None and found > limit else None)


async def find_numbered(reader: Reader, *, caller: Principal, number: int, where: Row[Any]) -> Sequence[UUID]:
    """Return the newest of the tasks that have a number in their key."""
    places = {"search_places": where.places, "search_shared": where.shared}
    in_places = task.c.project_id == any_(PLACES)
    query = (
        select(task.c.id)
        .select_from(TASKS)
        .where(task.c.number == number, or_(in_places, task.c.id == any_(SHARED)), *seen_tasks(sight_of(caller)))
        .order_by(task.c.id.desc())
        .limit(MOST_NUMBERED)
    )
    return (await reader.execute(query, {**seen_by(caller), **places})).scalars().all()


HITS: ColumnElement[Any] = bindparam("search_hits", type_=IDS)
KEYED: ColumnElement[Any] = bindparam("search_keyed", type_=IDS)
PINNED: ColumnElement[Any] = bindparam("search_pinned", type_=IDS)
PINNED_POINTS: ColumnElement[Any] = bindparam("search_points", type_=ARRAY(Integer))
TITLE: ColumnElement[str] = bindparam("search_title", type_=String())


def values_of(search: Search, matching: Matching, where: Row[Any]) -> dict[str, Any]:
    """Return the parameters that `among`, `among_all` and `fits` need."""
    return {
        "search_query": matching.query,
        "search_floor": str(matching.floor),
        "search_places": where.places,
        "search_shared": where.shared,
        "search_hits": list(matching.hits),
        "search_keyed": [task_id for task_id, _ in matching.keyed],
        "search_pinned": [task_id for task_id, _ in matching.pinned],
        "search_points": [points for _, points in matching.pinned],
        "search_title": search.q.strip().lower(),
    }


def shape_of(search: Search, matching: Matching, where: Row[Any]) -> Hashable:
    """Return what tells statements with parts of a search from others, apart from their parameters."""
    return tuple(search.kinds), matching.is_common, matching.floor is not None, bool(where.shared)


def among(search: Search) -> Select[Any]:
    """Return the tasks that are ranked, by `task_id` with their `rank` in points, whoever sees them."""
    hits = select(document.c.task_id, _points(document.c).label("rank"))
    hits = hits.where(document.c.task_id == any_(HITS), *_fitting(document.c, search))
    pinned = func.unnest(PINNED, PINNED_POINTS).table_valued("task_id", "rank", name="pinned").render_derived()
    points: list[ColumnElement[Any]] = [
        cast(pinned.c["task_id"], UUID_TYPE).label("task_id"),
        cast(pinned.c["rank"], Integer).label("rank"),
    ]
    both = union_all(hits, select(*points)).subquery("scored")
    best = func.max(both.c.rank, type_=Integer()).label("rank")
    return select(both.c.task_id, best).group_by(both.c.task_id)


def among_hits() -> Select[Any]:
    """Return the tasks that were found to fit, and those that are pinned, by `task_id`, whoever sees them."""
    return _or_pinned(select(func.unnest(HITS).column_valued("hit")))


def among_all(search: Search, where: Row[Any]) -> Select[Any]:
    """Return all tasks that fit or are pinned, by `task_id`, whoever sees them; some may come twice."""
    return _or_pinned(
        select(document.c.task_id).where(*within(is_shared=bool(where.shared)), *_fitting(document.c, search))
    )


def _or_pinned(found: Select[Any]) -> Select[Any]:
    pinned = select(func.unnest(PINNED).column_valued("pinned"))
    both = union_all(*(select(cast(one.subquery().c[0], UUID_TYPE).label("task_id")) for one in (found, pinned)))
    return select(both.subquery("fitting").c.task_id)


def fits(search: Search) -> Condition:
    """Return the condition that a row of `task` fits, or is pinned: it has the key, or a title like the words.

    Its documents are looked at for each task: an EXISTS might first find all that fit, in the whole database.
    """
    of_task = select(document.c.id).where(document.c.task_id == task.c.id, *_fitting(document.c, search))
    found = of_task.limit(1).correlate(task).scalar_subquery()
    return or_(found.is_not(None), task.c.id == any_(PINNED))


def is_beyond() -> Condition:
    """Return the condition that a row of `task` is older than those that are ranked, and has not the key."""
    return and_(task.c.id < FLOOR_ID, task.c.id != all_(KEYED))


async def find_best(
    reader: Reader, *, caller: Principal, begun: Parts, limit: int, workspace_id: UUID | None = None
) -> Sequence[RowMapping]:
    """Return the tasks that fit best, as they are shown, with their `rank` in points."""
    few = among(begun[0]).cte("few")
    query = (
        select(*SHOWN, *HELD, few.c.rank)
        .select_from(TASKS.join(few, few.c.task_id == task.c.id))
        .where(*seen_tasks(sight_of(caller)), *_in_workspace(workspace_id))
        .order_by(few.c.rank.desc(), task.c.id.desc())
        .limit(limit)
    )
    return (await reader.execute(query, {**seen_by(caller), **values_of(*begun)})).mappings().all()


async def find_comments(
    reader: Reader, *, caller: Principal, begun: Parts, limit: int, workspace_id: UUID | None = None
) -> Sequence[RowMapping]:
    """Return the comments that fit best, of tasks that the caller sees, with what fits marked."""
    comments = Search(begun[0].q, ("comments",))
    fitting = select(document.c.id, document.c.task_id, _points(document.c).label("points"))
    few = fitting.where(document.c.task_id == any_(HITS), *_fitting(document.c, comments)).cte("few")
    seen = TASKS.join(few, few.c.task_id == task.c.id).join(comment, comment.c.id == few.c.id)
    best = (
        select(
            *(comment.c[name] for name in ("id", "task_id", "workspace_id", "author_id", "created_at", "body")),
            KEY.label("task_key"),
            task.c.title.label("task_title"),
            few.c.points,
        )
        .select_from(seen)
        .where(*seen_tasks(sight_of(caller)), comment.c.deleted_at.is_(None), *_in_workspace(workspace_id))
        .order_by(few.c.points.desc(), comment.c.id.desc())
        .limit(limit)
        .cte("best")
    )
    marked = _marks(best.c.body, is_whole=False).label("comment")
    query = select(*best.c, literal_column("'comment'").label("kind"), marked)
    query = query.order_by(best.c.points.desc(), best.c.id.desc())
    return (await reader.execute(query, {**seen_by(caller), **values_of(*begun)})).mappings().all()


def _in_workspace(workspace_id: UUID | None) -> list[Condition]:
    return [] if workspace_id is None else [task.c.workspace_id == workspace_id]


def _places(within: Within) -> list[Condition]:
    columns = {project.c.workspace_id: within.workspace_ids, project.c.id: within.project_ids}
    return [one == any_(literal(list(ids), IDS)) for one, ids in columns.items() if ids is not None]


async def find_highlights(
    reader: Reader, *, caller: Principal, begun: Parts, task_ids: Sequence[UUID]
) -> Sequence[RowMapping]:
    """Return what fits of these tasks, the best first, with its `points` and the words in it marked."""
    points = _points(document.c).label("points")
    place = func.row_number().over(
        partition_by=(document.c.task_id, document.c.kind), order_by=(points.desc(), document.c.id)
    )
    fitting = (
        select(document.c.id, document.c.kind, document.c.task_id, document.c.title, points, place.label("place"))
        .select_from(TASKS.join(document, document.c.task_id == task.c.id))
        .where(*seen_tasks(sight_of(caller)), task.c.id == any_(literal(list(task_ids), IDS)))
        .where(*_fitting(document.c, begun[0]))
        .cte("fitting")
    )
    is_task = fitting.c.kind == "task"
    query = (
        select(
            fitting.c.id,
            fitting.c.kind,
            fitting.c.task_id,
            fitting.c.points,
            case((is_task, _marks(task.c.title, is_whole=True))).label("title"),
            case((is_task, _marks(task.c.description, is_whole=False))).label("description"),
            case((fitting.c.kind == "comment", _marks(comment.c.body, is_whole=False))).label("comment"),
            case((fitting.c.kind == "attachment", _marks(fitting.c.title, is_whole=True))).label("attachment"),
        )
        .select_from(
            fitting.join(task, task.c.id == fitting.c.task_id).outerjoin(comment, comment.c.id == fitting.c.id)
        )
        .where(fitting.c.place <= SHOWN_OF_A_KIND)
        .order_by(fitting.c.points.desc(), fitting.c.id)
    )
    return (await reader.execute(query, {**seen_by(caller), **values_of(*begun)})).mappings().all()


def _marks(words: ColumnElement[Any], *, is_whole: bool) -> ColumnElement[str]:
    marks: ColumnElement[str] = func.tasks.search_marks(words, QUERY, literal_column(str(is_whole).lower()))
    return marks


def _fitting(found: Columns, search: Search) -> list[Condition]:
    kinds = [] if len(search.kinds) == len(KINDS) else [found.kind.in_(search.kinds)]
    # What is left of a file that was deleted has no words, and so fits what asks for none.
    is_there = or_(found.kind != "attachment", found.title.is_not(None))
    return [found.vector.bool_op("@@")(QUERY), is_there, *kinds]


def _points(found: Columns) -> ColumnElement[int]:
    """Return how well a document fits that does: a title that is just what is searched for fits best."""
    is_title = and_(found.kind == "task", func.lower(found.title) == TITLE)
    score = case((is_title, literal_column("0.99")), else_=func.ts_rank_cd(found.vector, QUERY, literal_column("32")))
    share: ColumnElement[Any] = literal_column(str(POINTS - EXACT_POINTS - 2))
    return literal_column(str(EXACT_POINTS + 1)) + cast(func.round(cast(share * score, Numeric)), Integer)


def _documents(matching: Matching, where: Row[Any]) -> Columns:
    """Return the columns of the documents in which is searched."""
    if matching.is_common:
        return newest(None if matching.floor is None else FLOOR_ID, is_shared=bool(where.shared))
    floor = [] if matching.floor is None else [document.c.task_id >= FLOOR_ID]
    return select(*COLUMNS).where(*within(is_shared=bool(where.shared)), *floor).subquery("search_document").c
