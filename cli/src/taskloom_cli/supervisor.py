"""Keeping the processes alive, and ending them in order."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from taskloom_cli.children import PythonChild, end_python, start_python
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import explain

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
class Crashes:
    """When a process crashed lately, and when it is started again."""

    instants: list[float] = field(default_factory=list)
    restart_at: float | None = None

    def add(self, now: float) -> None:
        """Note a crash; the more there were, the longer the wait."""
        self.instants = [at for at in self.instants if now - at < CRASH_WINDOW_SECONDS] + [now]
        self.restart_at = now + 0.1 * 2 ** len(self.instants)

    def is_waited_for(self, now: float) -> bool:
        """Tell whether the wait for the next start goes on."""
        return self.restart_at is not None and now < self.restart_at


@dataclass
class Supervised:
    """A child with its current process."""

    child: PythonChild
    process: BaseProcess
    crashes: Crashes = field(default_factory=Crashes)


@dataclass
class Server:
    """A database with its current process; `start` starts it again, where that can be done while all others run."""

    name: str
    process: subprocess.Popen[bytes]
    ending_signal: signal.Signals
    log: Path
    start: Callable[[], subprocess.Popen[bytes]] | None = None
    crashes: Crashes = field(default_factory=Crashes)


@dataclass
class Supervisor:
    """Runs children until told to stop.

    `say` prints a line for the person at the terminal; `on_restart` is called when something has a new process.
    """

    say: Callable[[str], None]
    on_restart: Callable[[], None] = lambda: None
    children: list[Supervised] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
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
        for server in self.servers:
            self._look_at_server(server, now)
        for one in self.children:
            self._look_at_child(one, now)
        if now - self._logs_checked_at > LOG_CHECK_SECONDS:
            self._logs_checked_at = now
            self._bound_logs()

    def stop(self) -> None:
        """End the children together, edge first, then the servers; kill what takes too long."""
        self.starting = False
        ending = [one.process for one in self.children]
        for process in ending:
            process.terminate()
        self._wait(lambda: not any(process.is_alive() for process in ending), STOP_SECONDS)
        for process in ending:
            process.kill()
            process.join()
        end_python()
        for server in self.servers:
            server.process.send_signal(server.ending_signal)
        self._wait(lambda: all(server.process.poll() is not None for server in self.servers), SERVER_STOP_SECONDS)
        for server in self.servers:
            server.process.kill()
            server.process.wait()

    def _look_at_server(self, server: Server, now: float) -> None:
        code = server.process.poll()
        if code is None or server.crashes.is_waited_for(now):
            return
        if server.start is None or self.starting:
            raise Complaint(f"{server.name} ended unexpectedly ({describe(code)}): see {server.log}.")
        if server.crashes.restart_at is None:
            self._on_crash(server.name, server.crashes, server.log, now, how=describe(code))
        else:
            server.process, server.crashes.restart_at = server.start(), None
            self._tell_of_restart()

    def _look_at_child(self, one: Supervised, now: float) -> None:
        if one.process.is_alive() or one.crashes.is_waited_for(now):
            return
        if one.crashes.restart_at is None:
            how = describe(one.process.exitcode or 0)
            if one.process.exitcode == EXIT_BAD_SETTINGS:
                raise Complaint(f"{one.child.name} can't start: {last_line(one.child.log) or how}")
            self._on_crash(one.child.name, one.crashes, one.child.log, now, how=how)
        else:
            one.process, one.crashes.restart_at = start_python(one.child), None
            self._tell_of_restart()

    def _on_crash(self, name: str, crashes: Crashes, log: Path, now: float, *, how: str) -> None:
        crashes.add(now)
        if len(crashes.instants) >= CRASHES:
            raise Complaint(f"{name} crashed {CRASHES} times in a row ({how}): see {log}.")
        self.say(f"{name} crashed ({how}) and is being restarted; its log: {log}")

    def _tell_of_restart(self) -> None:
        """Call `on_restart`; what it can't write is no reason to end what runs."""
        try:
            self.on_restart()
        except OSError as error:
            self.say(explain(error, Path.cwd()))

    def _bound_logs(self) -> None:
        for log in [*(one.child.log for one in self.children), *(server.log for server in self.servers)]:
            try:
                bound_log(log)
            except OSError as error:
                self.say(f"A log could not be made shorter: {explain(error, log)}")

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
        older.unlink(missing_ok=True)
        older.touch(mode=0o600)
        shutil.copyfile(log, older)
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
