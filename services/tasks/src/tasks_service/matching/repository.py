"""Queries for what a filter finds: its tree as a condition, and by whom it asks for where to begin."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.db.base import table_of
from chassis.filtering.tree import And, Node, Predicate
from chassis.identity import Principal
from sqlalchemy import Select, any_, bindparam, select, true
from sqlalchemy.types import TypeEngine

from tasks_service.assignees.models import Assignee
from tasks_service.predicates.repository import ID, Asking, Condition, Expression, condition_of
from tasks_service.predicates.rules import conjuncts, parts_of, shape_of
from tasks_service.visibility.repository import TASKS, seen_by, seen_tasks, sight_of, task
from tasks_service.watchers.models import Watcher

assignee = table_of(Assignee)
watcher = table_of(Watcher)


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
    come twice, and `rest` is what is asked of these. What is `beyond` comes after them. Two are equal when they are of
    one shape.
    """

    shape: Hashable
    condition: Condition = field(compare=False)
    values: Mapping[str, Any] = field(compare=False)
    among: Select[Any] | None = field(compare=False, default=None)
    rest: Condition = field(compare=False, default_factory=true)
    beyond: "Shaped | None" = field(compare=False, default=None)


def shaped(node: Node, *, zone: ZoneInfo, caller: Principal, by_id: bool = False) -> Shaped:
    """Return what a bound tree asks of a row of `task`, for a list that begins where the tree says.

    `by_id` tells that the list is in the order of ids.
    """
    values: dict[str, Any] = {}

    def bind(value: Any, of: TypeEngine[Any]) -> Expression:
        name = f"asked_{len(values)}"
        values[name] = value
        return bindparam(name, type_=of)

    asking = Asking(caller, zone, bind, by_id)
    shape = (by_id, shape_of(node))
    condition = condition_of(node, asking)
    found = _found_by(node, asking)
    if found is None:
        return Shaped(shape, condition, values)
    first, among = found
    rest = [one for one in parts_of(node) if one is not first or not _is_found_by(first)]
    return Shaped(shape, condition, values, among, condition_of(And(tuple(rest)), asking))


def _is_found_by(predicate: Predicate) -> bool:
    """Tell whether all that is found where a predicate begins is what it asks for, and not just among it."""
    return predicate.field in ("assignees", "watchers") and predicate.operator != "has_all"


def found_by(node: Node, *, zone: ZoneInfo, caller: Principal) -> Select[Any] | None:
    """Return a query for ids of tasks, all that a tree finds among them, where whom it asks for is a way to begin."""
    found = _found_by(node, Asking(caller, zone))
    return None if found is None else found[1]


def _found_by(node: Node, asking: Asking) -> tuple[Predicate, Select[Any]] | None:
    for one in conjuncts(parts_of(node), tuple(FINDERS)):
        users = asking.array(one.values, ID)
        return one, FINDERS[one.field](users)
    return None


def _assigned(users: Expression) -> Select[Any]:
    return select(assignee.c.task_id).where(assignee.c.user_id == any_(users))


def _watched(users: Expression) -> Select[Any]:
    return select(watcher.c.task_id).where(watcher.c.user_id == any_(users), watcher.c.is_watching)


FINDERS: Mapping[str, Callable[[Expression], Select[Any]]] = {
    "assignees": _assigned,
    "assigned_to": _assigned,
    "watchers": _watched,
}
