"""A task is made in a project that is open: not in one that is archived or deleted while it is being made.

The project's row is locked to number the task, so that is where it is looked at. What the previous release makes in
such a project, of which it knows nothing, is refused like what is in none.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PLACE = """
    CREATE OR REPLACE FUNCTION tasks.place_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.number IS NULL THEN
            UPDATE tasks.project SET next_number = next_number + 1 WHERE id = NEW.project_id{}
                RETURNING next_number - 1 INTO NEW.number;{}
        END IF;
        IF NEW.position IS NULL THEN
            NEW.position := 'n' || lpad(NEW.number::text, 10, '0') || 'V';
        END IF;
        RETURN NEW;
    END $$
"""
IS_OPEN = " AND archived_at IS NULL AND deleted_at IS NULL"
REFUSE = """
            IF NOT FOUND THEN
                RAISE foreign_key_violation USING CONSTRAINT = 'fk_task_project_id_project',
                    SCHEMA = 'tasks', TABLE = 'task', MESSAGE = 'the project takes no tasks';
            END IF;"""


def upgrade() -> None:
    op.execute(PLACE.format(IS_OPEN, REFUSE))


def downgrade() -> None:
    op.execute(PLACE.format("", ""))
