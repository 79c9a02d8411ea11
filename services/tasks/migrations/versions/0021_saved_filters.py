"""Saved filters."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ROLE = "tasks_caller"
STATEMENTS = (
    """
    CREATE TABLE tasks.saved_filter (
        id uuid CONSTRAINT pk_saved_filter PRIMARY KEY,
        workspace_id uuid NOT NULL
            CONSTRAINT fk_saved_filter_workspace_id_workspace REFERENCES tasks.workspace (id),
        owner_id uuid,
        name varchar(100) NOT NULL,
        name_key varchar(400) NOT NULL,
        description varchar(2000),
        filter jsonb,
        sort varchar(200),
        q varchar(200),
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT uq_saved_filter_workspace_id_owner_id_name_key
            UNIQUE NULLS NOT DISTINCT (workspace_id, owner_id, name_key)
    )
    """,
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON tasks.saved_filter TO {ROLE}",
    "CREATE POLICY owner ON tasks.saved_filter FOR ALL TO CURRENT_USER USING (true)",
    f"""
    CREATE POLICY {ROLE} ON tasks.saved_filter FOR ALL TO {ROLE}
    USING (workspace_id = ANY ((SELECT tasks.caller_workspaces())::uuid[]))
    """,
    "ALTER TABLE tasks.saved_filter ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE tasks.saved_filter")
