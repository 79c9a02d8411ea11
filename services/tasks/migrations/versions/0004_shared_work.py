"""Roles in projects, statuses, and all that hangs on tasks.

New tables, and columns that the previous release need not know. The database numbers tasks, gives them a place and the
category of their status, and gives projects a prefix and statuses: so what the previous release makes meanwhile is
complete, too.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "ban-drop-constraint": "What the previous release writes meets what comes in their place: the key of its status.",
    "require-concurrent-index-creation": "The tables are made here, and empty.",
}

PROJECT = "CONSTRAINT fk_{}_project_id_project REFERENCES tasks.project (id)"
TASK = "CONSTRAINT fk_{}_task_id_task REFERENCES tasks.task (id) ON DELETE CASCADE"
WORKSPACE = "CONSTRAINT fk_{}_workspace_id_workspace REFERENCES tasks.workspace (id)"

COLUMNS = (
    """
    ALTER TABLE tasks.workspace
        ADD COLUMN IF NOT EXISTS require_if_match boolean NOT NULL DEFAULT false,
        ADD COLUMN IF NOT EXISTS deleted_at timestamptz
    """,
    """
    ALTER TABLE tasks.project
        ADD COLUMN IF NOT EXISTS description text,
        ADD COLUMN IF NOT EXISTS parent_id uuid,
        ADD COLUMN IF NOT EXISTS prefix varchar(10),
        ADD COLUMN IF NOT EXISTS next_number integer NOT NULL DEFAULT 1,
        ADD COLUMN IF NOT EXISTS visibility varchar(16) NOT NULL DEFAULT 'workspace',
        ADD COLUMN IF NOT EXISTS member_role varchar(16) NOT NULL DEFAULT 'editor',
        ADD COLUMN IF NOT EXISTS enforce_blockers varchar(8) NOT NULL DEFAULT 'off',
        ADD COLUMN IF NOT EXISTS archived_at timestamptz,
        ADD COLUMN IF NOT EXISTS deleted_at timestamptz,
        ADD COLUMN IF NOT EXISTS deleted_by uuid
    """,
    """
    ALTER TABLE tasks.task
        ADD COLUMN IF NOT EXISTS number integer,
        ADD COLUMN IF NOT EXISTS status_category varchar(16) NOT NULL DEFAULT 'todo',
        ADD COLUMN IF NOT EXISTS category_id uuid,
        ADD COLUMN IF NOT EXISTS labels uuid[] NOT NULL DEFAULT '{}',
        ADD COLUMN IF NOT EXISTS parent_id uuid,
        ADD COLUMN IF NOT EXISTS subtasks_total integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS subtasks_done integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS assigned_to uuid,
        ADD COLUMN IF NOT EXISTS assignees uuid[] NOT NULL DEFAULT '{}',
        ADD COLUMN IF NOT EXISTS completion_policy varchar(16) NOT NULL DEFAULT 'any',
        ADD COLUMN IF NOT EXISTS reopen_on_assign boolean NOT NULL DEFAULT false,
        ADD COLUMN IF NOT EXISTS start_date date,
        ADD COLUMN IF NOT EXISTS deadline date,
        ADD COLUMN IF NOT EXISTS estimate_minutes integer,
        ADD COLUMN IF NOT EXISTS position varchar(255) COLLATE "C",
        ADD COLUMN IF NOT EXISTS external_source varchar(64),
        ADD COLUMN IF NOT EXISTS external_id varchar(255),
        ADD COLUMN IF NOT EXISTS custom jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN IF NOT EXISTS deleted_by uuid,
        ADD COLUMN IF NOT EXISTS deleted_with uuid
    """,
    """
    ALTER TABLE tasks.change
        ADD COLUMN IF NOT EXISTS task_id uuid,
        ADD COLUMN IF NOT EXISTS reason varchar(500)
    """,
)

TABLES = {
    "person": """
        id uuid CONSTRAINT pk_person PRIMARY KEY,
        display_name varchar(200),
        avatar_url varchar(2000),
        email_canonical varchar(320),
        email_verified boolean NOT NULL,
        kind varchar(16) NOT NULL CONSTRAINT ck_person_kind CHECK (kind IN ('human', 'service')),
        status varchar(16) NOT NULL,
        timezone varchar(64),
        version integer NOT NULL
    """,
    "project_member": f"""
        id uuid CONSTRAINT pk_project_member PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("project_member")},
        project_id uuid NOT NULL {PROJECT.format("project_member")},
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL
            CONSTRAINT ck_project_member_role CHECK (role IN ('manager', 'editor', 'commenter', 'viewer')),
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT uq_project_member_project_id_user_id UNIQUE (project_id, user_id)
    """,
    "task_share": f"""
        id uuid CONSTRAINT pk_task_share PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("task_share")},
        task_id uuid NOT NULL {TASK.format("task_share")},
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL CONSTRAINT ck_task_share_role CHECK (role IN ('editor', 'commenter', 'viewer')),
        shared_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT uq_task_share_task_id_user_id UNIQUE (task_id, user_id)
    """,
    "status": f"""
        id uuid CONSTRAINT pk_status PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("status")},
        project_id uuid NOT NULL {PROJECT.format("status")},
        key varchar(16) NOT NULL,
        name varchar(100) NOT NULL,
        category varchar(16) NOT NULL CONSTRAINT ck_status_category
            CHECK (category IN ('backlog', 'todo', 'in_progress', 'done', 'cancelled')),
        position varchar(255) COLLATE "C" NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT uq_status_project_id_key UNIQUE (project_id, key)
    """,
    "category": f"""
        id uuid CONSTRAINT pk_category PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("category")},
        owner_id uuid,
        name varchar(100) NOT NULL,
        name_key varchar(400) NOT NULL,
        color varchar(7),
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT uq_category_workspace_id_owner_id_name_key
            UNIQUE NULLS NOT DISTINCT (workspace_id, owner_id, name_key)
    """,
    "label": f"""
        id uuid CONSTRAINT pk_label PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("label")},
        owner_id uuid,
        name varchar(100) NOT NULL,
        name_key varchar(400) NOT NULL,
        color varchar(7),
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT uq_label_workspace_id_owner_id_name_key
            UNIQUE NULLS NOT DISTINCT (workspace_id, owner_id, name_key)
    """,
    "personal_label": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("personal_label")},
        user_id uuid NOT NULL,
        task_id uuid NOT NULL {TASK.format("personal_label")},
        label_id uuid NOT NULL
            CONSTRAINT fk_personal_label_label_id_label REFERENCES tasks.label (id) ON DELETE CASCADE,
        CONSTRAINT pk_personal_label PRIMARY KEY (user_id, task_id, label_id)
    """,
    "task_key_alias": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("task_key_alias")},
        key varchar(24) NOT NULL,
        task_id uuid NOT NULL {TASK.format("task_key_alias")},
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_task_key_alias PRIMARY KEY (workspace_id, key)
    """,
    "assignee": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("assignee")},
        task_id uuid NOT NULL {TASK.format("assignee")},
        user_id uuid NOT NULL,
        state varchar(16) NOT NULL CONSTRAINT ck_assignee_state CHECK (state IN ('pending', 'done', 'declined')),
        assigned_by uuid NOT NULL,
        assigned_at timestamptz NOT NULL,
        CONSTRAINT pk_assignee PRIMARY KEY (task_id, user_id)
    """,
    "watcher": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("watcher")},
        task_id uuid NOT NULL {TASK.format("watcher")},
        user_id uuid NOT NULL,
        reason varchar(16) NOT NULL
            CONSTRAINT ck_watcher_reason CHECK (reason IN ('created', 'assigned', 'mentioned', 'commented', 'manual')),
        is_watching boolean NOT NULL,
        is_muted boolean NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_watcher PRIMARY KEY (task_id, user_id)
    """,
    "watch_rule": """
        user_id uuid CONSTRAINT pk_watch_rule PRIMARY KEY,
        created boolean NOT NULL,
        assigned boolean NOT NULL,
        mentioned boolean NOT NULL,
        commented boolean NOT NULL
    """,
    "star": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("star")},
        user_id uuid NOT NULL,
        task_id uuid NOT NULL {TASK.format("star")},
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_star PRIMARY KEY (user_id, task_id)
    """,
    "checklist_item": f"""
        id uuid CONSTRAINT pk_checklist_item PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("checklist_item")},
        task_id uuid NOT NULL {TASK.format("checklist_item")},
        text varchar(500) NOT NULL,
        done boolean NOT NULL,
        done_by uuid,
        done_at timestamptz,
        assignee_id uuid,
        due_date date,
        position varchar(255) COLLATE "C" NOT NULL,
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT ck_checklist_item_done CHECK (done = (done_at IS NOT NULL))
    """,
    "relation": f"""
        id uuid CONSTRAINT pk_relation PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("relation")},
        type varchar(16) NOT NULL
            CONSTRAINT ck_relation_type CHECK (type IN ('blocks', 'relates_to', 'duplicates', 'precedes')),
        from_task_id uuid NOT NULL
            CONSTRAINT fk_relation_from_task_id_task REFERENCES tasks.task (id) ON DELETE CASCADE,
        to_task_id uuid NOT NULL
            CONSTRAINT fk_relation_to_task_id_task REFERENCES tasks.task (id) ON DELETE CASCADE,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT uq_relation_type_from_task_id_to_task_id UNIQUE (type, from_task_id, to_task_id),
        CONSTRAINT ck_relation_two CHECK (from_task_id <> to_task_id)
    """,
    "comment": f"""
        id uuid CONSTRAINT pk_comment PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("comment")},
        task_id uuid NOT NULL {TASK.format("comment")},
        parent_id uuid CONSTRAINT fk_comment_parent_id_comment REFERENCES tasks.comment (id) ON DELETE CASCADE,
        author_id uuid NOT NULL,
        body text,
        mentions uuid[] NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        edited_at timestamptz,
        deleted_at timestamptz,
        deleted_by uuid,
        CONSTRAINT ck_comment_body CHECK ((body IS NULL) = (deleted_at IS NOT NULL))
    """,
    "comment_version": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("comment_version")},
        comment_id uuid NOT NULL
            CONSTRAINT fk_comment_version_comment_id_comment REFERENCES tasks.comment (id) ON DELETE CASCADE,
        version integer NOT NULL,
        body text NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_comment_version PRIMARY KEY (comment_id, version)
    """,
    "reaction": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("reaction")},
        comment_id uuid NOT NULL
            CONSTRAINT fk_reaction_comment_id_comment REFERENCES tasks.comment (id) ON DELETE CASCADE,
        user_id uuid NOT NULL,
        emoji varchar(32) NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_reaction PRIMARY KEY (comment_id, emoji, user_id)
    """,
    "metadata_namespace": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("metadata_namespace")},
        namespace varchar(64) NOT NULL,
        owner_id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_metadata_namespace PRIMARY KEY (workspace_id, namespace)
    """,
    "task_metadata": f"""
        workspace_id uuid NOT NULL {WORKSPACE.format("task_metadata")},
        task_id uuid NOT NULL {TASK.format("task_metadata")},
        namespace varchar(64) NOT NULL,
        owner_id uuid NOT NULL,
        shared boolean NOT NULL,
        value jsonb NOT NULL,
        version integer NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_task_metadata PRIMARY KEY (task_id, namespace),
        CONSTRAINT fk_task_metadata_workspace_id_namespace_metadata_namespace
            FOREIGN KEY (workspace_id, namespace) REFERENCES tasks.metadata_namespace (workspace_id, namespace)
    """,
    "invitation": f"""
        id uuid CONSTRAINT pk_invitation PRIMARY KEY,
        workspace_id uuid NOT NULL {WORKSPACE.format("invitation")},
        email varchar(320) NOT NULL,
        email_canonical varchar(320) NOT NULL,
        role varchar(16) NOT NULL CONSTRAINT ck_invitation_role CHECK (role IN ('owner', 'admin', 'member', 'guest')),
        projects jsonb NOT NULL,
        token_hash bytea NOT NULL CONSTRAINT uq_invitation_token_hash UNIQUE,
        state varchar(16) NOT NULL
            CONSTRAINT ck_invitation_state CHECK (state IN ('pending', 'accepted', 'declined', 'revoked')),
        invited_by uuid NOT NULL,
        accepted_by uuid,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    """,
}

INDEXES = (
    "CREATE INDEX IF NOT EXISTS ix_person_email_canonical ON tasks.person (email_canonical)",
    "CREATE INDEX IF NOT EXISTS ix_project_member_user_id ON tasks.project_member (user_id, workspace_id)",
    "CREATE INDEX IF NOT EXISTS ix_task_share_user_id ON tasks.task_share (user_id, workspace_id)",
    "CREATE INDEX IF NOT EXISTS ix_assignee_user_id ON tasks.assignee (user_id, workspace_id)",
    "CREATE INDEX IF NOT EXISTS ix_watcher_user_id ON tasks.watcher (user_id, workspace_id)",
    "CREATE INDEX IF NOT EXISTS ix_star_task_id ON tasks.star (task_id)",
    "CREATE INDEX IF NOT EXISTS ix_personal_label_task_id ON tasks.personal_label (task_id)",
    "CREATE INDEX IF NOT EXISTS ix_personal_label_label_id ON tasks.personal_label (label_id)",
    "CREATE INDEX IF NOT EXISTS ix_task_key_alias_task_id ON tasks.task_key_alias (task_id)",
    "CREATE INDEX IF NOT EXISTS ix_checklist_item_task_id ON tasks.checklist_item (task_id, position)",
    """
    CREATE INDEX IF NOT EXISTS ix_checklist_item_assignee_id ON tasks.checklist_item (assignee_id)
        WHERE assignee_id IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS ix_relation_from_task_id ON tasks.relation (from_task_id)",
    "CREATE INDEX IF NOT EXISTS ix_relation_to_task_id ON tasks.relation (to_task_id)",
    "CREATE INDEX IF NOT EXISTS ix_comment_task_id ON tasks.comment (task_id, id)",
    "CREATE INDEX IF NOT EXISTS ix_comment_parent_id ON tasks.comment (parent_id) WHERE parent_id IS NOT NULL",
    """
    CREATE UNIQUE INDEX IF NOT EXISTS uq_invitation_pending ON tasks.invitation (workspace_id, email_canonical)
        WHERE state = 'pending'
    """,
)

FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION tasks.free_prefix(of_workspace uuid, of_name text) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        base text := left(coalesce(nullif(regexp_replace(upper(of_name), '[^A-Z0-9]', '', 'g'), ''), 'P'), 5);
        found text;
        suffix integer := 1;
    BEGIN
        IF base !~ '^[A-Z]' THEN
            base := left('P' || base, 5);
        END IF;
        found := base;
        WHILE EXISTS (SELECT 1 FROM tasks.project WHERE workspace_id = of_workspace AND prefix = found) LOOP
            suffix := suffix + 1;
            found := base || suffix;
        END LOOP;
        RETURN found;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION tasks.fill_project() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.prefix IS NULL THEN
            -- Two projects of one workspace that are made at once would find the same prefix free.
            PERFORM pg_advisory_xact_lock(hashtextextended('prefix:' || NEW.workspace_id, 0));
            NEW.prefix := tasks.free_prefix(NEW.workspace_id, NEW.name);
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION tasks.give_statuses() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tasks.status
            (id, workspace_id, project_id, key, name, category, position, version, created_at, updated_at)
        SELECT uuidv7(), NEW.workspace_id, NEW.id, key, name, key, position, 1, NEW.created_at, NEW.created_at
        FROM (VALUES ('todo', 'To do', 'a1V'), ('in_progress', 'In progress', 'a2V'), ('done', 'Done', 'a3V'),
            ('cancelled', 'Cancelled', 'a4V')) AS preset (key, name, position);
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION tasks.place_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.number IS NULL THEN
            UPDATE tasks.project SET next_number = next_number + 1 WHERE id = NEW.project_id
                RETURNING next_number - 1 INTO NEW.number;
        END IF;
        IF NEW.position IS NULL THEN
            NEW.position := 'n' || lpad(NEW.number::text, 10, '0') || 'V';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION tasks.categorize_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT category INTO NEW.status_category
            FROM tasks.status WHERE project_id = NEW.project_id AND key = NEW.status;
        IF NEW.status_category IS NULL THEN
            RAISE foreign_key_violation USING CONSTRAINT = 'fk_task_project_id_status_status',
                SCHEMA = 'tasks', TABLE = 'task', MESSAGE = 'the project has no such status';
        END IF;
        RETURN NEW;
    END $$
    """,
)

PROJECT_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER fill_project BEFORE INSERT ON tasks.project
        FOR EACH ROW EXECUTE FUNCTION tasks.fill_project()
    """,
    """
    CREATE OR REPLACE TRIGGER give_statuses AFTER INSERT ON tasks.project
        FOR EACH ROW EXECUTE FUNCTION tasks.give_statuses()
    """,
)
# Projects that were there before get theirs, since tasks of the previous release need them from now on.
STATUSES = """
    INSERT INTO tasks.status
        (id, workspace_id, project_id, key, name, category, position, version, created_at, updated_at)
    SELECT uuidv7(), workspace_id, project.id, key, preset.name, key, position, 1, created_at, created_at
    FROM tasks.project,
        (VALUES ('todo', 'To do', 'a1V'), ('in_progress', 'In progress', 'a2V'), ('done', 'Done', 'a3V'),
        ('cancelled', 'Cancelled', 'a4V')) AS preset (key, name, position)
    ON CONFLICT (project_id, key) DO NOTHING
"""
# The category first: what is without a number, as what is made in between, is given both by the next revision.
TASK_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER categorize_task BEFORE INSERT OR UPDATE OF status, project_id ON tasks.task
        FOR EACH ROW EXECUTE FUNCTION tasks.categorize_task()
    """,
    """
    CREATE OR REPLACE TRIGGER place_task BEFORE INSERT ON tasks.task
        FOR EACH ROW EXECUTE FUNCTION tasks.place_task()
    """,
)
CONSTRAINTS = """
    ALTER TABLE tasks.task DROP CONSTRAINT IF EXISTS ck_task_status, DROP CONSTRAINT IF EXISTS ck_task_completed
"""
FUNCTION_NAMES = ("fill_project()", "give_statuses()", "place_task()", "categorize_task()", "free_prefix(uuid, text)")


def upgrade() -> None:
    # Each by itself: together they would hold locks on several tables, in another order than what is written meanwhile.
    with op.get_context().autocommit_block():
        for statement in COLUMNS:
            op.execute(statement)
        for name, columns in TABLES.items():
            op.execute(f"CREATE TABLE IF NOT EXISTS tasks.{name} ({columns})")
        for statement in (*INDEXES, *FUNCTIONS, *PROJECT_TRIGGERS, STATUSES, *TASK_TRIGGERS, CONSTRAINTS):
            op.execute(statement)


def downgrade() -> None:
    for trigger, table in (
        ("categorize_task", "task"),
        ("place_task", "task"),
        ("give_statuses", "project"),
        ("fill_project", "project"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON tasks.{table}")
    for name in FUNCTION_NAMES:
        op.execute(f"DROP FUNCTION tasks.{name}")
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE tasks.{name}")
    op.execute("ALTER TABLE tasks.change DROP COLUMN task_id, DROP COLUMN reason")
    for table, columns in DROPPED.items():
        op.execute(f"ALTER TABLE tasks.{table} " + ", ".join(f"DROP COLUMN {column}" for column in columns))
    op.execute(
        "ALTER TABLE tasks.task"
        " ADD CONSTRAINT ck_task_status CHECK (status IN ('todo', 'in_progress', 'done', 'cancelled')),"
        " ADD CONSTRAINT ck_task_completed CHECK ((status = 'done') = (completed_at IS NOT NULL))"
    )


DROPPED = {
    "workspace": ("require_if_match", "deleted_at"),
    "project": (
        "description",
        "parent_id",
        "prefix",
        "next_number",
        "visibility",
        "member_role",
        "enforce_blockers",
        "archived_at",
        "deleted_at",
        "deleted_by",
    ),
    "task": (
        "number",
        "status_category",
        "category_id",
        "labels",
        "parent_id",
        "subtasks_total",
        "subtasks_done",
        "assigned_to",
        "assignees",
        "completion_policy",
        "reopen_on_assign",
        "start_date",
        "deadline",
        "estimate_minutes",
        "position",
        "external_source",
        "external_id",
        "custom",
        "deleted_by",
        "deleted_with",
    ),
}
