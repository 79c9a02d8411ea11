"""Ports on this machine."""

import random
import socket
import sys
from itertools import islice

from taskloom_cli.complaints import Complaint

HOST = "127.0.0.1"
CHOSEN_FROM = range(12_000, 32_000)
"""Below those that systems give to connections, which could take one between its choice and its use."""

_claims: list[socket.socket] = []
"""What keeps other copies from the ports that this process has chosen."""


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
    """Return ports that nobody uses, all different, and different from the one `besides`.

    Until this process ends no other copy on this machine is given them, though nobody listens there yet. Raises
    Complaint where there are not as many.
    """
    candidates = (port for port in random.sample(CHOSEN_FROM, len(CHOSEN_FROM)) if port != besides)
    found = list(islice(filter(_reserve, candidates), count))
    if len(found) < count:
        raise Complaint(f"There are no {count} free ports from {CHOSEN_FROM.start} to {CHOSEN_FROM.stop - 1}.")
    return found


def _reserve(port: int) -> bool:
    """Take a port that is free and that no other copy has chosen; tell whether that went well."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        if sys.platform == "linux":
            # A name that is no file, and ends with who has it.
            claim.bind(f"\0taskloom-port-{port}")
        with socket.socket() as probe:
            _bind(probe, port)
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _bind(probe: socket.socket, port: int) -> None:
    # What was connected a moment ago does not count.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind((HOST, port))
