"""Queries for what a filter finds: its tree as a condition, and by whom it asks for where to begin."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.db.base import table_of
from chassis.filtering.tree import And, Node, Predicate
from chassis.identity import Principal
from sqlalchemy import Select, and_, any_, bindparam, exists, select, true, union_all
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.matching.models import TaskMark
from tasks_service.predicates.repository import ID, Asking, Condition, Expression, condition_of
from tasks_service.predicates.rules import conjuncts, fields_of, parts_of, shape_of
from tasks_service.visibility.repository import TASKS, seen_by, seen_tasks, sight_of, task
from tasks_service.watchers.models import Watcher

task_mark = table_of(TaskMark)
label = table_of(Label)
personal_label = table_of(PersonalLabel)
watcher = table_of(Watcher)

KEPT_WITH_MARKS = ("project_id", "status", "status_category", "priority", "updated_at")
OF_MARKS = {"project_id", "is_archived", "status", "status_category", "priority", "updated_at"}
"""What fields need no more of a task than is kept with its marks."""


def conditions_of(node: Node, *, zone: ZoneInfo, caller: Principal) -> Condition:
    """Return what a bound tree asks of a row of `task`, as SQL; null of a row counts as false.

    `zone` is where days begin, and `caller` is whose stars, labels and metadata count.
    """
    return condition_of(node, Asking(caller, zone))


def matching(caller: Principal, node: Node, *, zone: ZoneInfo) -> tuple[Select[tuple[UUID]], dict[str, Any]]:
    """Return the query for the ids of the tasks that a caller sees, and that a tree finds, with its parameters.

    It has no order; more may be asked of `task`, `project` and `member`, which it joins (TASKS).
    """
    query = select(task.c.id).select_from(TASKS).where(*seen_tasks(sight_of(caller)))
    query = query.where(conditions_of(node, zone=zone, caller=caller))
    found = found_by(node, zone=zone, caller=caller)
    return (query if found is None else query.where(task.c.id.in_(found))), seen_by(caller)


@dataclass(frozen=True, slots=True)
class Shaped:
    """What a tree asks for, of parameters that are named in their order, so that trees of one shape share a statement.

    Where the tree says by whom or what to find tasks, `among` is a query for their ids as `task_id`, of which some may
    come twice, and `rest` is what is asked of these. Where that is one mark, it is `marked`, `of_mark` is the rest as
    asked of a row of `task_mark`, if that has all of it, and `owned` are the ids of tasks that the caller alone has
    marked so. What is `beyond` comes after them. Two are equal when they are of one shape.
    """

    shape: Hashable
    condition: Condition = field(compare=False)
    values: Mapping[str, Any] = field(compare=False)
    among: Select[Any] | None = field(compare=False, default=None)
    rest: Condition = field(compare=False, default_factory=true)
    marked: Expression | None = field(compare=False, default=None)
    of_mark: Condition | None = field(compare=False, default=None)
    owned: Select[Any] | None = field(compare=False, default=None)
    beyond: "Shaped | None" = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Found:
    """Where to begin: the predicate that says it, and ids of tasks, of which some may not be what it asks for.

    For one mark that, whether it is to be a label and not somebody, and ids that are not of it.
    """

    predicate: Predicate
    query: Select[Any]
    mark: Expression | None = None
    is_label: bool = False
    owned: Select[Any] | None = None

    @property
    def is_exact(self) -> bool:
        """Tell whether all that has the one mark is what the predicate asks for, if it is of the right kind."""
        return self.mark is not None and self.predicate.field != "assigned_to"

    def is_of_kind(self) -> Condition:
        """Return whether the one mark is what it is to be, which is looked up once, and not for each task."""
        is_label = exists(select(label.c.id).where(label.c.id == self.mark))
        return is_label if self.is_label else ~is_label


def shaped(node: Node, *, zone: ZoneInfo, caller: Principal, walked_by: str | None = None) -> Shaped:
    """Return what a bound tree asks of a row of `task`, for a list that begins where the tree says.

    `walked_by` is what the list is sorted by first.
    """
    values: dict[str, Any] = {}

    def bind(value: Any, of: TypeEngine[Any]) -> Expression:
        name = f"asked_{len(values)}"
        values[name] = value
        return bindparam(name, type_=of)

    asking = Asking(caller, zone, bind, walked_by)
    shape = (walked_by, shape_of(node))
    condition = condition_of(node, asking)
    found = _found_by(node, asking)
    if found is None:
        return Shaped(shape, condition, values)
    if not found.is_exact:
        return Shaped(shape, condition, values, found.query, condition, found.mark, owned=found.owned)
    left = And(tuple(one for one in parts_of(node) if one is not found.predicate))
    rest = and_(found.is_of_kind(), condition_of(left, asking))
    of_mark = _of_mark(rest) if fields_of(left) <= OF_MARKS else None
    return Shaped(shape, condition, values, found.query, rest, found.mark, of_mark, found.owned)


def _of_mark(condition: Condition) -> Condition:
    """Return what is asked of a task as asked of a mark of it."""
    columns: dict[Any, Any] = {task.c[name]: task_mark.c[name] for name in KEPT_WITH_MARKS}

    def replaced(element: Any, **_: Any) -> Any:
        return columns.get(element)

    return replacement_traverse(condition, {}, replaced)


def found_by(node: Node, *, zone: ZoneInfo, caller: Principal) -> Select[Any] | None:
    """Return a query for ids of tasks, all that a tree finds among them, where whom it asks for is a way to begin."""
    found = _found_by(node, Asking(caller, zone))
    return None if found is None else found.query


def _found_by(node: Node, asking: Asking) -> Found | None:
    for one in conjuncts(parts_of(node), tuple(FINDERS)):
        return FINDERS[one.field](one, asking)
    return None


def _assigned(predicate: Predicate, asking: Asking) -> Found:
    return Found(predicate, _of_marks(predicate, asking), _one_mark(predicate, asking))


def _labelled(predicate: Predicate, asking: Asking) -> Found:
    """Return what has a label: of the task, or else the caller's own on it."""
    labels, mine = asking.array(predicate.values, ID), asking.bind(asking.caller.user_id, ID)
    is_shared = exists().where(task_mark.c.task_id == personal_label.c.task_id, task_mark.c.mark == any_(labels))
    owned = select(personal_label.c.task_id).where(
        personal_label.c.user_id == mine, personal_label.c.label_id == any_(labels), ~is_shared
    )
    every = union_all(_of_marks(predicate, asking), owned).subquery("labelled")
    mark = _one_mark(predicate, asking)
    return Found(predicate, select(every.c.task_id), mark, is_label=True, owned=owned)


def _of_marks(predicate: Predicate, asking: Asking) -> Select[Any]:
    return select(task_mark.c.task_id).where(task_mark.c.mark == any_(asking.array(predicate.values, ID)))


def _one_mark(predicate: Predicate, asking: Asking) -> Expression | None:
    """Return what a predicate names, where it is one: its tasks are walked in order."""
    return asking.bind(predicate.values[0], ID) if len(predicate.values) == 1 else None


def _watched(predicate: Predicate, asking: Asking) -> Found:
    users = asking.array(predicate.values, ID)
    return Found(predicate, select(watcher.c.task_id).where(watcher.c.user_id == any_(users), watcher.c.is_watching))


FINDERS: Mapping[str, Callable[[Predicate, Asking], Found]] = {
    "assignees": _assigned,
    "assigned_to": _assigned,
    "labels": _labelled,
    "watchers": _watched,
}
