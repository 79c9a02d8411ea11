"""Keeping the processes alive, and ending them in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from taskloom_cli.children import PythonChild, end_python, start_python
from taskloom_cli.complaints import Complaint

LOOP_SECONDS = 0.1
CRASHES = 5
CRASH_WINDOW_SECONDS = 30.0
STOP_SECONDS = 12.0
SERVER_STOP_SECONDS = 5.0
HURRY = 2
MAX_LOG_BYTES = 20 * 1024 * 1024
LOG_CHECK_SECONDS = 30.0
# chassis.roles.EXIT_BAD_SETTINGS; importing it would cost a third of a second.
EXIT_BAD_SETTINGS = 2


@dataclass
class Supervised:
    """A child with its current process and the instants of its crashes."""

    child: PythonChild
    process: BaseProcess
    crashes: list[float] = field(default_factory=list)
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Runs children until told to stop.

    `say` prints a line for the person at the terminal; `on_restart` is called when a child has a new process.
    """

    say: Callable[[str], None]
    on_restart: Callable[[], None] = lambda: None
    children: list[Supervised] = field(default_factory=list)
    servers: list[tuple[str, subprocess.Popen[bytes], signal.Signals]] = field(default_factory=list)
    signals: int = 0
    starting: bool = True
    _logs_checked_at: float = 0.0

    def listen_to_signals(self) -> None:
        """Take Ctrl-C and SIGTERM as the wish to stop; a second one as hurry.

        While everything is being started the first one raises KeyboardInterrupt, whatever is waited for.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self, child: PythonChild) -> None:
        """Start a child and look after it from now on."""
        self.children.append(Supervised(child, start_python(child)))

    def watch(self) -> None:
        """Look after everything until a signal comes. Raises Complaint when a child or server can't be kept up."""
        self.starting = False
        while not self.signals:
            self.look()
            time.sleep(LOOP_SECONDS)

    def look(self) -> None:
        """Restart what has crashed. Raises Complaint, and KeyboardInterrupt where that got lost in a callback."""
        if self.starting and self.signals:
            raise KeyboardInterrupt
        now = time.monotonic()
        for name, server, _ in self.servers:
            if server.poll() is not None:
                raise Complaint(f"{name} ended unexpectedly ({describe(server.returncode)}): see its log.")
        for one in self.children:
            if one.restart_at is not None and now >= one.restart_at:
                one.process, one.restart_at = start_python(one.child), None
                self.on_restart()
            elif one.restart_at is None and not one.process.is_alive():
                self._on_crash(one, now)
        if now - self._logs_checked_at > LOG_CHECK_SECONDS:
            self._logs_checked_at = now
            for one in self.children:
                bound_log(one.child.log)

    def stop(self) -> None:
        """End the children together, edge first, then the servers; kill what takes too long."""
        self.starting = False
        ending = [one.process for one in self.children]
        for process in ending:
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGTERM)
        self._wait(lambda: not any(process.is_alive() for process in ending), STOP_SECONDS)
        for process in ending:
            if process.is_alive():
                process.kill()
            process.join()
        end_python()
        for _, server, ending_signal in self.servers:
            server.send_signal(ending_signal)
        self._wait(lambda: all(server.poll() is not None for _, server, _ in self.servers), SERVER_STOP_SECONDS)
        for _, server, _ in self.servers:
            if server.poll() is None:
                server.kill()
            server.wait()

    def _on_crash(self, one: Supervised, now: float) -> None:
        one.crashes = [at for at in one.crashes if now - at < CRASH_WINDOW_SECONDS] + [now]
        how = describe(one.process.exitcode or 0)
        if one.process.exitcode == EXIT_BAD_SETTINGS:
            raise Complaint(f"{one.child.name} can't start: {last_line(one.child.log) or how}")
        if len(one.crashes) >= CRASHES:
            raise Complaint(f"{one.child.name} crashed {CRASHES} times in a row ({how}): see {one.child.log}.")
        delay = 0.1 * 2 ** len(one.crashes)
        one.restart_at = now + delay
        self.say(f"{one.child.name} crashed ({how}) and is being restarted; its log: {one.child.log}")

    def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline and self.signals < HURRY:
            time.sleep(0.02)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.signals += 1
        if self.starting and self.signals == 1:
            raise KeyboardInterrupt


def describe(code: int) -> str:
    """Say how a process ended."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def bound_log(log: Path) -> None:
    """Keep a log below 20 MiB, with one older part beside it."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        older = log.with_suffix(".log.1")
        older.write_bytes(log.read_bytes())
        os.truncate(log, 0)


def run_to_end(children: Sequence[PythonChild]) -> None:
    """Run children side by side until all have ended. Raises Complaint when one fails."""
    running = [(child, start_python(child)) for child in children]
    for child, process in running:
        process.join()
        if process.exitcode != 0:
            raise Complaint(f"{child.name} failed: {last_line(child.log) or describe(process.exitcode or 0)}")


def last_line(log: Path) -> str:
    """Return what a process said last, or nothing."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else ""
