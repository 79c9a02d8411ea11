"""A task holds its status from when its category is looked up: a status that is changed meanwhile is waited for.

The place, which locks the project, comes first, as it does where statuses are changed; triggers fire by name.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CATEGORIZE = """
    CREATE OR REPLACE FUNCTION tasks.categorize_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT category INTO NEW.status_category
            FROM tasks.status WHERE project_id = NEW.project_id AND key = NEW.status {};
        IF NEW.status_category IS NULL THEN
            RAISE foreign_key_violation USING CONSTRAINT = 'fk_task_project_id_status_status',
                SCHEMA = 'tasks', TABLE = 'task', MESSAGE = 'the project has no such status';
        END IF;
        RETURN NEW;
    END $$
"""


TRIGGER = """
    CREATE TRIGGER {} BEFORE INSERT OR UPDATE OF status, project_id ON tasks.task
        FOR EACH ROW EXECUTE FUNCTION tasks.categorize_task()
"""


def upgrade() -> None:
    op.execute(CATEGORIZE.format("FOR KEY SHARE"))
    op.execute(TRIGGER.format("take_category"))
    op.execute("DROP TRIGGER categorize_task ON tasks.task")


def downgrade() -> None:
    op.execute(TRIGGER.format("categorize_task"))
    op.execute("DROP TRIGGER take_category ON tasks.task")
    op.execute(CATEGORIZE.format(""))
