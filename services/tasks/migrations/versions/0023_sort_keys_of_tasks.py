"""What tasks are sorted by, as columns: under row security only plain comparisons of columns reach an index.

The database keeps them, so that what the previous release writes has them, too.
"""

from alembic import op
from sqlalchemy import text

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "All is there already, or replaced.",
}

COLUMNS = """
    ALTER TABLE tasks.task
        ADD COLUMN IF NOT EXISTS priority_rank smallint,
        ADD COLUMN IF NOT EXISTS due_sort timestamptz,
        ADD COLUMN IF NOT EXISTS title_sort varchar(150) COLLATE "C"
"""
# A day and a wall time as if in UTC. Titles whatever their case, and no more of them than a cursor can carry.
FUNCTION = """
    CREATE OR REPLACE FUNCTION tasks.sort_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.priority_rank := array_position(ARRAY['none', 'low', 'medium', 'high', 'urgent'], NEW.priority::text) - 1;
        NEW.due_sort := coalesce(NEW.due_at, coalesce(NEW.due_local, NEW.due_date::timestamp) AT TIME ZONE 'UTC');
        NEW.title_sort := left(lower(NEW.title COLLATE pg_c_utf8), 150);
        RETURN NEW;
    END $$
"""
TRIGGER = """
    CREATE OR REPLACE TRIGGER sort_task
        BEFORE INSERT OR UPDATE OF title, priority, due_kind, due_date, due_at, due_local ON tasks.task
        FOR EACH ROW EXECUTE FUNCTION tasks.sort_task()
"""
START = "SELECT set_config('taskloom.filled', '00000000-0000-0000-0000-000000000000', false)"
# A change of nothing makes the trigger fire. Where none are left there is no row.
FILL = """
    WITH batch AS (
        SELECT id, priority_rank FROM tasks.task WHERE id > current_setting('taskloom.filled')::uuid
        ORDER BY id LIMIT 1000 FOR NO KEY UPDATE
    ),
    filled AS (
        UPDATE tasks.task SET priority = priority
        WHERE id IN (SELECT id FROM batch WHERE batch.priority_rank IS NULL)
    )
    SELECT set_config('taskloom.filled', id::text, false) FROM (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in (COLUMNS, FUNCTION, TRIGGER, START):
            op.execute(statement)
        while op.get_bind().execute(text(FILL)).rowcount:
            pass


def downgrade() -> None:
    op.execute("DROP TRIGGER sort_task ON tasks.task")
    op.execute("DROP FUNCTION tasks.sort_task()")
    op.execute("ALTER TABLE tasks.task DROP COLUMN priority_rank, DROP COLUMN due_sort, DROP COLUMN title_sort")
