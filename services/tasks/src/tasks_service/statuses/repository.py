"""All SQL on statuses."""

from chassis.db.base import table_of
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from tasks_service.statuses.models import Status
from tasks_service.visibility.repository import project

status = table_of(Status)

STATUSES = (
    select(
        func.jsonb_agg(
            aggregate_order_by(func.jsonb_build_array(status.c.key, status.c.category), status.c.position, status.c.id),
            type_=JSONB,
        )
    )
    .where(status.c.project_id == project.c.id)
    .correlate(project)
    .scalar_subquery()
    .label("statuses")
)
"""Keys and categories of the statuses of a row of `project`, in their order, as one column."""
