"""Migrations as the SQL that they run, looked at by squawk: `python -m testkit.migrations` (R42)."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from chassis.db.migrations import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from sqlalchemy.dialects import postgresql

IGNORED = "SQUAWK_IGNORED"
"""What a migration calls the rules that it breaks with reason: `SQUAWK_IGNORED = {"rule": "reason"}`."""
TIMEOUTS = f"SET lock_timeout = '{LOCK_TIMEOUT}';\n\nSET statement_timeout = '{STATEMENT_TIMEOUT}';\n\n"


class UnreasonedExclusion(Exception):
    """A migration breaks a rule and does not say why."""


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """What a batch finds where there are no rows: it ends the loop around it."""

    rowcount: int = 0


class Recorder:
    """Stands for the connection of a migration that asks for it, and writes down what it is told to execute."""

    def __init__(self, context: MigrationContext) -> None:
        self._context = context

    def execute(self, statement: Any, *_parameters: Any) -> NothingLeft:
        self._context.impl._exec(statement)  # noqa: SLF001 - what alembic's own offline mode calls
        return NothingLeft()

    def exec_driver_sql(self, statement: str, *_parameters: Any) -> NothingLeft:
        self._context.impl.static_output(f"{statement};")
        return NothingLeft()


def rendered(script: Script) -> str:
    """Return the SQL of a migration, with the timeouts and the transaction that it runs in."""
    buffer = StringIO()
    context = MigrationContext.configure(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call] # untyped in SQLAlchemy
        opts={"as_sql": True, "output_buffer": buffer, "transactional_ddl": True, "transaction_per_migration": True},
    )
    context.impl.connection = Recorder(context)  # type: ignore[assignment] # all of a connection that it needs
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        script.module.upgrade()
    return TIMEOUTS + buffer.getvalue()


def migrations(root: Path) -> list[Script]:
    """Return the migrations of the service in `root`, oldest first."""
    return list(reversed(list(ScriptDirectory(str(root / "migrations")).walk_revisions())))


def ignored_rules(script: Script) -> Mapping[str, str]:
    """Return the rules that a migration breaks, with its reasons. Raises UnreasonedExclusion."""
    found: Mapping[str, str] = getattr(script.module, IGNORED, {})
    if not all(reason.strip() for reason in found.values()):
        raise UnreasonedExclusion(script.path)
    return found


def complaints(script: Script, *, config: Path) -> str:
    """Return what squawk says against a migration, or nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{script.revision}.sql"
        ignored = "".join(f"-- squawk-ignore-file {rule}\n" for rule in ignored_rules(script))
        path.write_text(ignored + rendered(script))
        command = [_squawk(), f"--config={config}", "--reporter=gcc", str(path)]
        found = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if found.returncode == 0 else f"{script.path}\n{found.stdout}{found.stderr}"


def _squawk() -> str:
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.exists() else shutil.which("squawk") or "squawk"


def main(roots: Sequence[str]) -> int:
    """Look at all migrations of the services in `roots`, and say what is wrong with them."""
    config = Path(".squawk.toml")
    found = [said for root in roots for script in migrations(Path(root)) if (said := complaints(script, config=config))]
    sys.stderr.write("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
