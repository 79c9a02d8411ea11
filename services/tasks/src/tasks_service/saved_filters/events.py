"""Facts about saved filters."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, differences
from tasks_service.saved_filters.schemas import FilterOut

FILTER_CREATED = "filter.created.v1"
FILTER_UPDATED = "filter.updated.v1"
FILTER_DELETED = "filter.deleted.v1"


def filter_changed(
    verb: Literal["created", "updated", "deleted"],
    before: RowMapping | None,
    after: RowMapping,
    *,
    lost_by: Iterable[UUID] = (),
) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new one. A personal one is told to its owner alone."""
    resource = FilterOut.of(after).model_dump(mode="json")
    shown_before = None if before is None else FilterOut.of(before).model_dump(mode="json")
    owner_id = after["owner_id"]
    audience: Audience = "members" if owner_id is None else frozenset({owner_id})
    return ChangeDraft(
        f"filter.{verb}.v1",
        "filter",
        after["id"],
        after["version"],
        differences(shown_before, resource),
        resource,
        audience,
        lost_by=frozenset(lost_by),
    )
