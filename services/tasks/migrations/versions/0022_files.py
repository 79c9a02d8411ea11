"""Files that jobs write and read, in pieces, and what was made of what is in them."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE tasks.file_part (
        file_id uuid NOT NULL,
        first_byte bigint NOT NULL,
        workspace_id uuid NOT NULL CONSTRAINT fk_file_part_workspace_id_workspace REFERENCES tasks.workspace (id),
        created_by uuid NOT NULL,
        content bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_file_part PRIMARY KEY (file_id, first_byte)
    )
    """,
    "CREATE INDEX ix_file_part_created_at ON tasks.file_part (created_at)",
    "CREATE INDEX ix_file_part_workspace_id ON tasks.file_part (workspace_id)",
    """
    CREATE TABLE tasks.import_source (
        workspace_id uuid NOT NULL CONSTRAINT fk_import_source_workspace_id_workspace REFERENCES tasks.workspace (id),
        kind varchar(16) NOT NULL,
        source_id uuid NOT NULL,
        target_id uuid NOT NULL,
        is_made boolean NOT NULL,
        CONSTRAINT pk_import_source PRIMARY KEY (workspace_id, kind, source_id)
    )
    """,
    "CREATE INDEX ix_import_source_target_id ON tasks.import_source (target_id)",
    """
    CREATE TABLE tasks.import_seen (
        job_id uuid NOT NULL,
        kind varchar(16) NOT NULL,
        source_id uuid NOT NULL,
        workspace_id uuid NOT NULL CONSTRAINT fk_import_seen_workspace_id_workspace REFERENCES tasks.workspace (id),
        created_by uuid NOT NULL,
        times integer NOT NULL,
        facts jsonb NOT NULL,
        CONSTRAINT pk_import_seen PRIMARY KEY (job_id, kind, source_id)
    )
    """,
    "CREATE INDEX ix_import_seen_workspace_id ON tasks.import_seen (workspace_id)",
)
ROLE = "tasks_caller"
IN_WORKSPACE = "workspace_id = ANY ((SELECT tasks.caller_workspaces())::uuid[])"
# A file, and what a job reads in one, is its maker's alone, while that one is in the workspace.
OWN = f"created_by = (SELECT tasks.caller()) AND {IN_WORKSPACE}"
POLICIES = {"file_part": OWN, "import_source": IN_WORKSPACE, "import_seen": OWN}


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table, condition in POLICIES.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON tasks.{table} TO {ROLE}")
        op.execute(f"CREATE POLICY owner ON tasks.{table} FOR ALL TO CURRENT_USER USING (true)")
        op.execute(f"CREATE POLICY {ROLE} ON tasks.{table} FOR ALL TO {ROLE} USING ({condition})")
        op.execute(f"ALTER TABLE tasks.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE tasks.import_seen, tasks.import_source, tasks.file_part")
