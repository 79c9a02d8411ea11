"""Programs of Debian packages, installed when they are missing."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")


def say(sentence: str) -> None:
    """Tell whoever waits for the tests what takes a while, or what is missing."""
    print(f"testkit: {sentence}", file=sys.stderr)  # noqa: T201 - see above


@dataclass(frozen=True)
class DebianProgram:
    """A server that a package of the same name holds; `places` are searched after PATH."""

    name: str
    places: str
    policy: Path = Path("/usr/sbin/policy-rc.d")
    lock: Path = Path(tempfile.gettempdir()) / "taskloom-apt.lock"

    def find(self) -> str | None:
        return shutil.which(self.name, path=f"{os.environ.get('PATH', '')}:{self.places}")

    def find_or_install(self) -> str | None:
        """Return its path; root on Debian installs it first, one process at a time: whoever waited finds it there."""
        if found := self.find():
            return found
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            return None
        with FileLock(self.lock):
            if self.find() is None:
                self._install()
            return self.find()

    def _install(self) -> None:
        say(f"installing {self.name} for the tests")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        with self._forbidden_to_start():
            for command in (["update"], ["install", "-y", "--no-install-recommends", self.name]):
                done = subprocess.run([*APT, *command], check=False, capture_output=True, text=True, env=environment)
                if done.returncode:
                    say(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")

    @contextmanager
    def _forbidden_to_start(self) -> Iterator[None]:
        """Keep Debian from starting a server of its own: only the program is wanted."""
        if self.policy.exists():
            yield
            return
        self.policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        self.policy.chmod(0o755)
        try:
            yield
        finally:
            self.policy.unlink()
