"""Facts about things with a name."""

from typing import Literal

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, differences
from tasks_service.names.schemas import NamedKind


def named_changed(
    kind: NamedKind,
    verb: Literal["created", "updated", "deleted"],
    before: RowMapping | None,
    after: RowMapping,
) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new one. What is personal is its owner's alone."""
    resource = kind.show(after).model_dump(mode="json")
    shown_before = None if before is None else kind.show(before).model_dump(mode="json")
    owner_id = after["owner_id"]
    audience: Audience = "workspace" if owner_id is None else frozenset({owner_id})
    return ChangeDraft(
        f"{kind.entity_type}.{verb}.v1",
        kind.entity_type,
        after["id"],
        after["version"],
        differences(shown_before, resource),
        resource,
        audience,
    )
