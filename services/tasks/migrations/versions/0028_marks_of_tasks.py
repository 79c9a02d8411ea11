"""What tasks are found by that have sets: whom they are assigned to and what labels they have, a row for each.

Under row-level security nothing that is asked of an array reaches an index. A mark shows nothing by itself; what a
caller may see is decided by the places that it is looked for in, and by the task that it is joined to. Triggers keep
marks in the transaction of the change, and write as the owner: requests only read.
"""

from alembic import op

revision = "0028"
down_revision = "0030"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What is made again is replaced, or there already.",
}

# `mark` is a user or a label. The rest is the task's, to be walked in order and filtered; none is of one in the trash.
TABLE = """
    CREATE TABLE IF NOT EXISTS tasks.task_mark (
        task_id uuid NOT NULL
            CONSTRAINT fk_task_mark_task_id_task REFERENCES tasks.task (id) ON DELETE CASCADE,
        mark uuid NOT NULL,
        project_id uuid NOT NULL,
        status varchar(40) NOT NULL,
        status_category varchar(16) NOT NULL,
        priority varchar(16) NOT NULL,
        priority_rank smallint,
        due_sort timestamptz,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_task_mark PRIMARY KEY (task_id, mark)
    )
"""
GRANT = "GRANT SELECT ON tasks.task_mark TO tasks_caller"
FUNCTION = """
    CREATE OR REPLACE FUNCTION tasks.keep_task_marks() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF OLD.deleted_at IS NULL AND NEW.deleted_at IS NULL
                AND OLD.assignees = NEW.assignees AND OLD.labels = NEW.labels
            THEN
                UPDATE tasks.task_mark
                SET project_id = NEW.project_id, status = NEW.status, status_category = NEW.status_category,
                    priority = NEW.priority, priority_rank = NEW.priority_rank, due_sort = NEW.due_sort,
                    updated_at = NEW.updated_at
                WHERE task_id = NEW.id;
                RETURN NULL;
            END IF;
            DELETE FROM tasks.task_mark WHERE task_id = NEW.id;
        END IF;
        IF NEW.deleted_at IS NULL THEN
            INSERT INTO tasks.task_mark (task_id, mark, project_id, status, status_category, priority, priority_rank,
                due_sort, updated_at)
            SELECT NEW.id, mark, NEW.project_id, NEW.status, NEW.status_category, NEW.priority, NEW.priority_rank,
                NEW.due_sort, NEW.updated_at
            FROM unnest(NEW.assignees || NEW.labels) AS mark
            ON CONFLICT (task_id, mark) DO NOTHING;
        END IF;
        RETURN NULL;
    END $$
"""
# That of changes is first: what has a mark is never changed without it.
TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER change_marks AFTER UPDATE ON tasks.task
        FOR EACH ROW WHEN (
            cardinality(OLD.assignees || OLD.labels || NEW.assignees || NEW.labels) > 0
            AND (
                OLD.project_id <> NEW.project_id OR OLD.updated_at <> NEW.updated_at
                OR OLD.assignees <> NEW.assignees OR OLD.labels <> NEW.labels
                OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
                OR OLD.status <> NEW.status OR OLD.status_category <> NEW.status_category
                OR OLD.priority <> NEW.priority OR OLD.priority_rank IS DISTINCT FROM NEW.priority_rank
                OR OLD.due_sort IS DISTINCT FROM NEW.due_sort
            )
        )
        EXECUTE FUNCTION tasks.keep_task_marks()
    """,
    """
    CREATE OR REPLACE TRIGGER keep_marks AFTER INSERT ON tasks.task
        FOR EACH ROW WHEN (cardinality(NEW.assignees || NEW.labels) > 0)
        EXECUTE FUNCTION tasks.keep_task_marks()
    """,
)


def upgrade() -> None:
    # Each by itself, so that no two tables are locked at once.
    with op.get_context().autocommit_block():
        for statement in (TABLE, GRANT, FUNCTION, *TRIGGERS):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_marks ON tasks.task")
    op.execute("DROP TRIGGER change_marks ON tasks.task")
    op.execute("DROP FUNCTION tasks.keep_task_marks()")
    op.execute("DROP TABLE tasks.task_mark")
