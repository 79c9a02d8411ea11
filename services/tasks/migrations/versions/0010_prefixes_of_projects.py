"""Which project a prefix belongs to, now or formerly, and projects that are being purged.

A prefix is taken in one statement, so that of two projects that want it at once one gets it, and it stays its
project's for ever: keys are never used again. The triggers do it for what the previous release makes, too.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE = """
    CREATE TABLE tasks.project_prefix (
        workspace_id uuid NOT NULL
            CONSTRAINT fk_project_prefix_workspace_id_workspace REFERENCES tasks.workspace (id),
        prefix varchar(10) NOT NULL
            CONSTRAINT ck_project_prefix_prefix CHECK (prefix ~ '^[A-Z][A-Z0-9]{0,9}$'),
        project_id uuid NOT NULL,
        CONSTRAINT pk_project_prefix PRIMARY KEY (workspace_id, prefix)
    )
"""
BASE = """
    CREATE FUNCTION tasks.prefix_of_name(of_name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE
            WHEN letters = '' THEN 'PRJ'
            WHEN letters !~ '^[A-Z]' THEN left('P' || letters, 5)
            WHEN length(letters) = 1 THEN letters || letters
            ELSE left(letters, 5)
        END
        FROM (SELECT regexp_replace(upper(normalize(of_name, NFKD)), '[^A-Z0-9]', '', 'g') COLLATE "C" AS letters)
            AS found
    $$
"""
FILL = """
    CREATE OR REPLACE FUNCTION tasks.fill_project() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        base text := tasks.prefix_of_name(NEW.name);
        suffix integer := 1;
    BEGIN
        IF NEW.prefix IS NOT NULL THEN
            INSERT INTO tasks.project_prefix (workspace_id, prefix, project_id)
                VALUES (NEW.workspace_id, NEW.prefix, NEW.id)
                ON CONFLICT (workspace_id, prefix) DO UPDATE SET project_id = NEW.id
                WHERE project_prefix.project_id = NEW.id;
            IF NOT FOUND THEN
                RAISE unique_violation USING CONSTRAINT = 'pk_project_prefix', SCHEMA = 'tasks',
                    TABLE = 'project_prefix', MESSAGE = 'the prefix is, or was, of another project';
            END IF;
            RETURN NEW;
        END IF;
        NEW.prefix := base;
        LOOP
            INSERT INTO tasks.project_prefix (workspace_id, prefix, project_id)
                VALUES (NEW.workspace_id, NEW.prefix, NEW.id) ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND;
            suffix := suffix + 1;
            NEW.prefix := base || suffix;
        END LOOP;
        RETURN NEW;
    END $$
"""
TRIGGER = """
    CREATE TRIGGER keep_prefix BEFORE UPDATE OF prefix ON tasks.project
        FOR EACH ROW EXECUTE FUNCTION tasks.fill_project()
"""
# As it was in 0004.
FORMER_FILL = """
    CREATE OR REPLACE FUNCTION tasks.fill_project() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.prefix IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('prefix:' || NEW.workspace_id, 0));
            NEW.prefix := tasks.free_prefix(NEW.workspace_id, NEW.name);
        END IF;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE tasks.project ADD COLUMN purged_at timestamptz")
    op.execute(BASE)
    op.execute(FILL)
    op.execute(TRIGGER)
    # Nothing is made between the trigger and this: the lock on the table lasts until the commit.
    op.execute(
        """
        INSERT INTO tasks.project_prefix (workspace_id, prefix, project_id)
        SELECT workspace_id, prefix, id FROM tasks.project WHERE prefix IS NOT NULL
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_prefix ON tasks.project")
    op.execute(FORMER_FILL)
    op.execute("DROP FUNCTION tasks.prefix_of_name(text)")
    op.execute("ALTER TABLE tasks.project DROP COLUMN purged_at")
    op.execute("DROP TABLE tasks.project_prefix")
