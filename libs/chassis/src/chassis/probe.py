"""The health check of a container: `python -m chassis.probe` ends with 0 if the process on ADMIN_PORT is ready.

It speaks HTTP by hand, because importing a client costs more than the question, which is asked every few seconds.
"""

import os
import socket
import sys

SECONDS = 2.0
REQUEST = b"GET /readyz HTTP/1.0\r\n\r\n"
READY = b"200"


def is_ready(port: int) -> bool:
    """Ask the admin port of this machine; whatever goes wrong means that the process is not ready."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(REQUEST)
            status_line = connection.recv(64)
    except OSError:
        return False
    return status_line.split(b" ")[1:2] == [READY]


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ["ADMIN_PORT"])) else 1)
