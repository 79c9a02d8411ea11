"""Starting processes that end with us, whatever ends us."""

import ctypes
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

PR_SET_PDEATHSIG = 1

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
    context.set_forkserver_preload(["taskloom_cli.preload"])
    forkserver.ensure_running()


def start_python(child: PythonChild) -> BaseProcess:
    """Fork a child from the preloaded process."""
    process = context.Process(target=_run, args=(child,), name=child.name)
    process.start()
    return process


def start_program(
    command: Sequence[str], *, log: Path, user: str | None = None, death_signal: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Start a program that gets `death_signal` when we die, as another user if need be."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the command is ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            preexec_fn=_detach(death_signal),  # noqa: PLW1509 - we have no threads
        )


def _run(child: PythonChild) -> None:
    _detach(signal.SIGTERM)()
    output = os.open(child.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(child.environment)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.argv = [child.name, *child.arguments]
    main: Callable[[Sequence[str]], int] = importlib.import_module(child.module).main
    sys.exit(main(child.arguments))


def _detach(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a child does first: leave the terminal's group, so that Ctrl-C is ours alone, and die with us."""
    parent = os.getpid()

    def detach() -> None:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() == 1 and parent != 1:
            os.kill(os.getpid(), death_signal)

    return detach
