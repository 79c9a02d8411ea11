"""Copies of the embedded default, started as a person would."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from testkit.servers import free_port, wait_until

COMMAND = [sys.executable, "-m", "taskloom_cli.main", "up"]
STRANGE_NAME = "a b#ü%41?[1]*\"\\'"
END_SECONDS = 120
READY_SECONDS = 240
ROOT = Path(__file__).parents[2]
CURL_STAND_IN = Path(__file__).parent / "without_curl" / "curl"


@dataclass
class Copy:
    """A copy of the system, on its way up or running; `summary` is what it printed when it was ready."""

    process: subprocess.Popen[str]
    folder: Path
    summary: dict[str, Any]

    @property
    def api(self) -> str:
        return f"{self.summary['api']}/api/v1"

    @property
    def data(self) -> Path:
        return Path(self.summary["data_dir"])

    def wait_until_ready(self) -> None:
        line = self.read_line()
        assert line, self.errors()
        self.summary = json.loads(line)

    def read_line(self) -> str:
        """Return what it prints next; one that hangs is killed, and what it had said is the failure's text."""
        watch = threading.Timer(READY_SECONDS, self.process.kill)
        watch.start()
        try:
            return self.process.stdout.readline()
        finally:
            watch.cancel()

    def errors(self) -> str:
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def pid_of(self, name: str) -> int:
        return json.loads((self.data / "run.json").read_text(encoding="utf-8"))["pids"][name]

    def end(self) -> int:
        """Press Ctrl-C, which a terminal sends to the whole process group; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(END_SECONDS)

    def kill(self) -> int:
        """End the first process alone, which nothing can prepare for."""
        self.process.kill()
        return self.process.wait(END_SECONDS)


def processes_of(place: Path) -> list[psutil.Process]:
    """Return what was started with TMPDIR in a folder, or with a path in it: nothing else tells orphans from others."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _belongs(one, place)]


def wait_until_ended(temporary: Path) -> None:
    what = f"the end of every process that was started with {temporary}"
    wait_until(lambda: not processes_of(temporary), what=what, seconds=END_SECONDS)


def _belongs(process: psutil.Process, place: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get("TMPDIR") == str(place) or any(str(place) in part for part in process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def new_place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="taskloom-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def environment(temporary: Path, **settings: str) -> dict[str, str]:
    # What pytest's workers and make tell their children is not for those that are started here.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAKE", "MFLAGS"))
    }
    return {**inherited, "PATH": path_with_curl(), "TMPDIR": str(temporary), **settings}


def path_with_curl() -> str:
    """Return a PATH on which there is a curl: Python, pip, make and git are all that a machine has to have."""
    path = os.environ.get("PATH", os.defpath)
    return path if shutil.which("curl") else f"{CURL_STAND_IN.parent}{os.pathsep}{path}"


def begin_copy(command: list[str], folder: Path, temporary: Path, *, cwd: Path | None = None, **settings: str) -> Copy:
    """Start a command that ends in a copy, in a process group of its own."""
    folder.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    with (folder / "stderr").open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=cwd or folder,
            env=environment(temporary, **settings),
            start_new_session=True,
        )
    return Copy(process, folder, {})


@contextmanager
def running(command: list[str], folder: Path, temporary: Path, *, cwd: Path | None = None) -> Iterator[Copy]:
    """Start a command that ends in a copy, and end that afterwards with all that belongs to it."""
    copy = begin_copy(command, folder, temporary, cwd=cwd)
    try:
        copy.wait_until_ready()
        yield copy
    finally:
        if copy.process.poll() is None:
            copy.end()
        copy.process.stdout.close()
        wait_until_ended(temporary)


@pytest.fixture(scope="session")
def status() -> Callable[..., int]:
    """Asks a URL and returns the status of the answer."""

    def ask(url: str, token: str | None = None) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx2.get(url, headers=headers, timeout=60, trust_env=False).status_code

    return ask


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may walk through: pytest takes that right from its folders at any start."""
    with new_place() as folder:
        yield folder


@pytest.fixture
def temporary(place: Path) -> Iterator[Path]:
    """The TMPDIR of everything that a test starts; no process of it may be left at the end."""
    yield place / "tmp"
    wait_until_ended(place / "tmp")


@pytest.fixture
def nothing_left(temporary: Path) -> Callable[[], None]:
    """Waits until no process is left of anything that the test has started."""
    return lambda: wait_until_ended(temporary)


@pytest.fixture(scope="session")
def typed() -> Callable[[str], AbstractContextManager[Copy]]:
    """Types a command that starts a copy into a shell in the root of the repository, and Ctrl-C at the end."""

    @contextmanager
    def run(command: str) -> Iterator[Copy]:
        with new_place() as place, running(["bash", "-c", command], place, place / "tmp", cwd=ROOT) as copy:
            yield copy

    return run


@pytest.fixture(scope="session")
def type_in() -> Callable[..., str]:
    """Types a block into a shell in the root of the repository, and returns what it printed."""

    def run(block: str, **variables: str) -> str:
        with new_place() as place:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=ROOT,
                env=environment(place, **variables),
                capture_output=True,
                text=True,
                timeout=END_SECONDS,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def terminal() -> Callable[[str], AbstractContextManager[subprocess.Popen[str]]]:
    """Types a block that goes on printing into a shell in the root of the repository."""

    @contextmanager
    def run(block: str) -> Iterator[subprocess.Popen[str]]:
        with (
            new_place() as place,
            subprocess.Popen(
                ["bash", "-c", block],
                cwd=ROOT,
                env=environment(place),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            ) as shell,
        ):
            yield shell

    return run


@pytest.fixture
def mail_catcher(place: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the mail catcher alone, as its image does."""

    def run(**settings: str) -> subprocess.CompletedProcess[str]:
        script = "import sys; from taskloom_cli.mail import main; sys.exit(main([]))"
        return subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **settings},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=END_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def begin(place: Path, temporary: Path) -> Iterator[Callable[..., Copy]]:
    """Begins to start a copy, in the test's folder if not told otherwise."""
    begun: list[Copy] = []

    def run(
        *options: str, folder: Path = place, port: int | None = None, before: Sequence[str] = (), **settings: str
    ) -> Copy:
        command = [*before, *COMMAND, "--json", "--port", str(port or free_port()), *options]
        begun.append(begin_copy(command, folder, temporary, **settings))
        return begun[-1]

    yield run
    for copy in begun:
        if copy.process.poll() is None:
            copy.end()
        copy.process.stdout.close()


@pytest.fixture
def start(begin: Callable[..., Copy]) -> Callable[..., Copy]:
    """Starts a copy and waits until it is ready."""

    def run(*options: str, **more: Any) -> Copy:
        copy = begin(*options, **more)
        copy.wait_until_ready()
        return copy

    return run


@pytest.fixture(scope="module")
def lasting_copy() -> Iterator[Copy]:
    """A copy that several tests look at, since each start takes long, in a folder with a strange name.

    It opens port 9009 of this machine for webhooks.
    """
    options = ["--json", "--port", str(free_port()), "--local-port", "9009"]
    with new_place() as place, running([*COMMAND, *options], place / STRANGE_NAME, place / "tmp") as copy:
        yield copy


@pytest.fixture
def complaint(begin: Callable[..., Copy]) -> Callable[..., str]:
    """Starts a copy that can't start, and returns the one sentence that it says."""

    def run(*options: str, **more: Any) -> str:
        copy = begin("--no-seed", *options, **more)
        assert copy.read_line() == ""
        said = copy.errors()
        assert copy.process.wait(END_SECONDS) == 2, said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) == 1, said
        return said.strip()

    return run
