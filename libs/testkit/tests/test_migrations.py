"""Every migration is looked at as the SQL that it runs, and what must not be on a filled table is found."""

from pathlib import Path

import pytest
from alembic.script import Script
from testkit.migrations import UnreasonedExclusion, complaints, main, migrations, rendered

CONFIG = Path(__file__).parents[3] / ".squawk.toml"
MIGRATION = """
from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
{ignored}

def upgrade():
    {body}
"""
INDEX = 'op.execute("CREATE INDEX ix_task_title ON tasks.task (title)")'


def written(root: Path, body: str, *, ignored: str = "") -> Script:
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_it.py").write_text(MIGRATION.format(body=body, ignored=ignored))
    return migrations(root)[0]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX ix_task_title ON tasks.task (title)", "require-concurrent-index-creation"),
        (
            "CREATE INDEX CONCURRENTLY ix_task_title ON tasks.task (title)",
            "ban-concurrent-index-creation-in-transaction",
        ),
        ("ALTER TABLE tasks.task ADD COLUMN more text NOT NULL", "adding-required-field"),
        ("ALTER TABLE tasks.task ALTER COLUMN title SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE tasks.task ADD CONSTRAINT ck CHECK (title <> '')", "constraint-missing-not-valid"),
        ("ALTER TABLE tasks.task DROP COLUMN title", "ban-drop-column"),
        ("ALTER TABLE tasks.task RENAME COLUMN title TO name", "renaming-column"),
        ("DROP TABLE tasks.task", "ban-drop-table"),
    ],
)
def test_r42_a_migration_that_would_stop_others_is_found(tmp_path: Path, statement: str, rule: str) -> None:
    said = complaints(written(tmp_path, f'op.execute("{statement}")'), config=CONFIG)
    assert f": {rule} " in said


def test_r42_a_migration_says_with_a_reason_which_rule_it_breaks(tmp_path: Path) -> None:
    ignored = 'SQUAWK_IGNORED = {"require-concurrent-index-creation": "The table is made here."}'
    assert complaints(written(tmp_path, INDEX, ignored=ignored), config=CONFIG) == ""


def test_r42_a_rule_is_not_broken_without_a_reason(tmp_path: Path) -> None:
    script = written(tmp_path, INDEX, ignored='SQUAWK_IGNORED = {"require-concurrent-index-creation": " "}')
    with pytest.raises(UnreasonedExclusion):
        complaints(script, config=CONFIG)


def test_r42_what_runs_outside_of_a_transaction_and_in_batches_is_seen_too(tmp_path: Path) -> None:
    body = """with op.get_context().autocommit_block():
        while op.get_bind().execute(text("UPDATE tasks.task SET title = 'x'")).rowcount:
            pass
        op.get_bind().exec_driver_sql("DROP TABLE tasks.task")"""
    sql = rendered(written(tmp_path, body))
    assert sql.count("UPDATE tasks.task SET title = 'x'") == 1
    assert "COMMIT;\n\nUPDATE" in sql
    assert "DROP TABLE tasks.task;" in sql


def test_r42_the_command_fails_for_a_bad_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CONFIG.parent)
    written(tmp_path, INDEX)
    assert main([str(tmp_path)]) == 1
    assert "require-concurrent-index-creation" in capsys.readouterr().err
