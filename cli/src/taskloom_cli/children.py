"""Starting processes that end with us, whatever ends us."""

import ctypes
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ORPHAN_SECONDS = 15.0

context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class PythonChild:
    """A role of a service: `module`'s `main` called with `arguments`, in an environment of its own."""

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path


def begin_preloading() -> None:
    """Start the process that children are forked from; it imports while we go on."""
    context.set_forkserver_preload(["taskloom_cli.uncollected", "taskloom_cli.preload"])
    # It lets signals through again after its own start, so it has to be there before they are held back.
    resource_tracker.ensure_running()
    with _signals_held_back():
        forkserver.ensure_running()


def start_python(child: PythonChild) -> BaseProcess:
    """Fork a child from the preloaded process."""
    process = context.Process(target=_run, args=(child,), name=child.name, daemon=True)
    with _signals_held_back():
        process.start()
    return process


def end_python() -> None:
    """Kill what is left of the children, then end what they were forked from, and wait for that."""
    for left in multiprocessing.active_children():
        left.kill()
        left.join()
    # By themselves they would end only after us, and be left to an init that may not collect what has ended.
    server = forkserver._forkserver  # noqa: SLF001 - there is no public way
    if server._forkserver_pid is not None:  # type: ignore[attr-defined]  # noqa: SLF001 - same
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]  # noqa: SLF001 - same
    server._stop()  # type: ignore[attr-defined]  # noqa: SLF001 - same
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001 - same


def start_program(
    command: Sequence[str],
    *,
    output: IO[bytes],
    lock: int,
    source: IO[bytes] | int = subprocess.DEVNULL,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a program that gets `death_signal` when we die, as another user if need be.

    It reads `source`, and keeps `lock` open, a descriptor: the data folder is not free again before it has ended.
    """
    with _signals_held_back():
        return subprocess.Popen(  # noqa: S603 - the command is ours
            command,
            stdin=source,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            user=user,
            group=user,
            extra_groups=[] if user else None,
            preexec_fn=_dying_with_us(death_signal),  # noqa: PLW1509 - we have no threads
        )


def _dying_with_us(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a program does first: leave the terminal's group, so that Ctrl-C is ours alone, and die with us."""
    parent = os.getpid()

    def detach() -> None:
        _die_with_parent(death_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return detach


def _run(child: PythonChild) -> None:
    # The parent in the kernel's eyes is the fork server. It outlives us, unless somebody kills it: then nobody would
    # tell us when this child ends, so it ends at once, and all are started again.
    _die_with_parent(signal.SIGKILL)
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    threading.Thread(target=_end_when_orphaned, name="orphan-watch", daemon=True).start()
    output = os.open(child.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(child.environment)
    sys.argv = [child.name, *child.arguments]
    main: Callable[[Sequence[str]], int] = importlib.import_module(child.module).main
    sys.exit(main(child.arguments))


def _end_when_orphaned() -> None:
    """End this process when `taskloom up` is gone, however it went.

    The fork server can't be relied on for that: it stays until the last child has closed its end of a pipe.
    """
    starter = multiprocessing.parent_process()
    if starter is not None:
        starter.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


def _die_with_parent(death_signal: signal.Signals) -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Keep signals to end from us, and for good from what is started here: the fork server ends after its children.

    A child lets them through again, and a signal that came meanwhile is not lost.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
