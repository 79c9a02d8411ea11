"""Jobs: work for somebody that outlasts a request, and what became of each of its operations."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE tasks.job (
        id uuid CONSTRAINT pk_job PRIMARY KEY,
        kind varchar(32) NOT NULL,
        workspace_id uuid NOT NULL CONSTRAINT fk_job_workspace_id_workspace REFERENCES tasks.workspace (id),
        created_by uuid NOT NULL,
        is_confined boolean NOT NULL,
        project_ids uuid[],
        principal jsonb NOT NULL,
        request_id varchar(64) NOT NULL,
        traceparent varchar(64) NOT NULL,
        parameters jsonb NOT NULL,
        state jsonb NOT NULL,
        status varchar(16) NOT NULL,
        total integer,
        done integer NOT NULL,
        failed integer NOT NULL,
        result_url varchar(200),
        error jsonb,
        cancel_requested_at timestamptz,
        lease_until timestamptz NOT NULL,
        fence bigint NOT NULL,
        attempts smallint NOT NULL,
        takings smallint NOT NULL,
        told_at timestamptz NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX ix_job_open ON tasks.job (lease_until, id) WHERE finished_at IS NULL",
    "CREATE INDEX ix_job_created_by ON tasks.job (created_by, id)",
    "CREATE INDEX ix_job_workspace_id ON tasks.job (workspace_id)",
    "CREATE INDEX ix_job_finished_at ON tasks.job (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE tasks.job_item (
        job_id uuid NOT NULL CONSTRAINT fk_job_item_job_id_job REFERENCES tasks.job (id),
        index integer NOT NULL,
        workspace_id uuid NOT NULL CONSTRAINT fk_job_item_workspace_id_workspace REFERENCES tasks.workspace (id),
        created_by uuid NOT NULL,
        operation jsonb NOT NULL,
        outcome varchar(16) NOT NULL,
        result jsonb,
        CONSTRAINT pk_job_item PRIMARY KEY (job_id, index)
    )
    """,
    "CREATE INDEX ix_job_item_job_id ON tasks.job_item (job_id, outcome, index)",
    "CREATE INDEX ix_job_item_workspace_id ON tasks.job_item (workspace_id)",
)
ROLE = "tasks_caller"
# A job is its maker's alone, while that one is in the workspace.
POLICY = (
    f"FOR ALL TO {ROLE} USING (created_by = (SELECT tasks.caller())"
    " AND workspace_id = ANY ((SELECT tasks.caller_workspaces())::uuid[]))"
)
TABLES = ("job", "job_item")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON tasks.{table} TO {ROLE}")
        op.execute(f"CREATE POLICY owner ON tasks.{table} FOR ALL TO CURRENT_USER USING (true)")
        op.execute(f"CREATE POLICY {ROLE} ON tasks.{table} {POLICY}")
        op.execute(f"ALTER TABLE tasks.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE tasks.job_item, tasks.job")
