"""Ports on this machine."""

import socket
from contextlib import ExitStack

from taskloom_cli.complaints import Complaint

HOST = "127.0.0.1"


def require_free(port: int) -> None:
    """Raise Complaint when we can't listen on the port."""
    with socket.socket() as probe:
        try:
            _bind(probe, port)
        except PermissionError:
            raise Complaint(f"Port {port} is not for everybody: choose one above 1023 with --port.") from None
        except OSError:
            raise Complaint(
                f"Port {port} is in use: stop what listens there, or choose another one with --port."
            ) from None


def free_ports(count: int, *, besides: int | None = None) -> list[int]:
    """Return ports that nobody uses at this moment, all different, and different from the one `besides`."""
    with ExitStack() as held:
        if besides is not None:
            _bind(held.enter_context(socket.socket()), besides)
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _bind(probe: socket.socket, port: int) -> None:
    # What was connected a moment ago does not count.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((HOST, port))
