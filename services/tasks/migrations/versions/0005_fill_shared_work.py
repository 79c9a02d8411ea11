"""Prefixes, numbers, places and categories for what was there before, a thousand rows in a transaction."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PREFIXES = """
    UPDATE tasks.project SET prefix = tasks.free_prefix(workspace_id, name)
    WHERE id = (SELECT id FROM tasks.project WHERE prefix IS NULL ORDER BY id LIMIT 1)
"""
# In the order of their making, so that numbers tell it, too; of one project at a time, so that one is locked.
NUMBERS = """
    WITH batch AS (
        SELECT id, project_id, row_number() OVER (ORDER BY id) AS place
        FROM (
            SELECT id, project_id FROM tasks.task
            WHERE number IS NULL AND project_id = (SELECT project_id FROM tasks.task WHERE number IS NULL LIMIT 1)
            ORDER BY id LIMIT 1000
        ) AS missing
    ),
    taken AS (
        UPDATE tasks.project SET next_number = next_number + counted.tasks
        FROM (SELECT project_id, count(*)::integer AS tasks FROM batch GROUP BY project_id) AS counted
        WHERE project.id = counted.project_id
        RETURNING project.id, project.next_number - counted.tasks AS first
    )
    UPDATE tasks.task
    SET number = taken.first + batch.place - 1,
        position = 'n' || lpad((taken.first + batch.place - 1)::text, 10, '0') || 'V',
        status_category = task.status
    FROM batch JOIN taken ON taken.id = batch.project_id
    WHERE task.id = batch.id
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in (PREFIXES, NUMBERS):
            while op.get_bind().execute(text(statement)).rowcount:
                pass


def downgrade() -> None:
    """Nothing: the columns go with the revision before."""
