"""Fails a run in which an operation of a service's document was never exercised by the service's own tests.

It speaks only of runs that could have exercised them all: the whole folder of the service was asked for, nothing was
deselected, and nothing failed. The workers of pytest-xdist see different files, so each sends what it saw to the
process that ends the run.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from testkit.contract import Contract

OUTPUT = "testkit_operations"


class OperationGuard:
    """The plugin: on a worker it reports what was exercised, elsewhere it sums up and judges."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._narrowed = any(config.getoption(name, None) for name in ("ignore", "ignore_glob"))
        self._forgotten: dict[Path, set[str]] = {}
        self._operations: defaultdict[Path, set[str]] = defaultdict(set)
        self._exercised: defaultdict[Path, set[str]] = defaultdict(set)

    def pytest_deselected(self) -> None:
        self._narrowed = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a worker of pytest-xdist saw."""
        output = getattr(node, "workeroutput", {}).get(OUTPUT)
        if output is not None:
            self._narrowed |= output["narrowed"]
            for folder, operations, exercised in output["contracts"]:
                self._add(Path(folder), operations, exercised)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        seen = [(str(one.tests), sorted(one.operations), sorted(one.exercised)) for one in Contract.guarded]
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[OUTPUT] = {"narrowed": self._narrowed, "contracts": seen}
            return
        for folder, operations, exercised in seen:
            self._add(Path(folder), operations, exercised)
        if exitstatus == pytest.ExitCode.OK and not self._narrowed:
            self._judge(session)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for folder, operations in self._forgotten.items():
            terminalreporter.section("operations that no test exercised", red=True)
            terminalreporter.line(f"{folder}: {', '.join(sorted(operations))}")

    def _add(self, folder: Path, operations: list[str], exercised: list[str]) -> None:
        self._operations[folder] |= set(operations)
        self._exercised[folder] |= set(exercised)

    def _judge(self, session: pytest.Session) -> None:
        asked_for = [(self._config.invocation_params.dir / argument).resolve() for argument in self._config.args]
        for folder, operations in self._operations.items():
            whole = any(folder.resolve().is_relative_to(path) for path in asked_for)
            if whole and (forgotten := operations - self._exercised[folder]):
                self._forgotten[folder] = forgotten
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
