"""The first process of a container: `python -m chassis.entry tasks_service.cli api` calls the `main` of that module.

The kernel ignores a SIGTERM to a container's first process that has no handler for it. So there is one before anything
is imported, which takes seconds on a busy machine; without it a container that is stopped while it starts, or that only
does one thing, runs on until it is killed.
"""

import importlib
import signal
import sys
from types import FrameType

EXIT_BY_SIGNAL = 128


def end(number: int, _frame: FrameType | None) -> None:
    """End with the exit code that shells give to a process which a signal has ended."""
    raise SystemExit(EXIT_BY_SIGNAL + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
