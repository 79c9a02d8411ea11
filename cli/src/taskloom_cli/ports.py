"""Ports on this machine."""

import socket
from contextlib import ExitStack

from taskloom_cli.complaints import Complaint

HOST = "127.0.0.1"


def require_free(port: int) -> None:
    """Raise Complaint when something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise Complaint(
                f"Port {port} is in use: stop what listens there, or choose another one with --port."
            ) from None


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at this moment, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
