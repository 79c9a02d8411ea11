"""The folder that one copy of Taskloom keeps everything in."""

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from taskloom_cli.complaints import Complaint

MARKER = "taskloom-data"
ENDING_SECONDS = 20.0
NEEDED_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True)
class DataFolder:
    """Where data, secrets and logs are; `ephemeral` ones are deleted at the end."""

    root: Path
    ephemeral: bool

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def open_folder(home: Path, *, ephemeral: bool, reset: bool) -> DataFolder:
    """Make or reuse the data folder. Raises Complaint when it can't be used."""
    try:
        folder = _folder(home, ephemeral=ephemeral, reset=reset)
        try:
            _furnish(folder)
        except (OSError, Complaint):
            if ephemeral:
                folder.remove()
            raise
    except OSError as error:
        raise Complaint(explain(error, home)) from None
    return folder


def _furnish(folder: DataFolder) -> None:
    # PostgreSQL, when it runs as another user, opens the way to its own files again.
    folder.root.chmod(0o700)
    for part in (folder.valkey, folder.files, folder.logs, folder.secrets):
        part.mkdir(exist_ok=True)
        part.chmod(0o700)
    (folder.root / MARKER).write_text("Made by taskloom; --reset deletes this folder.\n", encoding="utf-8")
    if shutil.disk_usage(folder.root).free < NEEDED_BYTES:
        raise Complaint(f"The disk of {folder.root} is full: at least 200 MB must be free.")


def explain(error: OSError, path: Path) -> str:
    """Say what a failing file operation means."""
    where = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {path} is full: make room and start again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} can't be written: check its owner and permissions."
    return f"{where}: {error.strerror or error}."


def _folder(home: Path, *, ephemeral: bool, reset: bool) -> DataFolder:
    if ephemeral:
        return DataFolder(Path(tempfile.mkdtemp(prefix="taskloom-")), ephemeral=True)
    root = home / ".taskloom" / "data"
    if reset and root.exists():
        if not (root / MARKER).exists():
            raise Complaint(f"{root} was not made by taskloom, so --reset leaves it alone: move it away yourself.")
        with hold(root):
            shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    return DataFolder(root, ephemeral=False)


@contextmanager
def hold(root: Path) -> Iterator[int]:
    """Hold the folder's lock, and yield its descriptor: one copy runs in a folder at a time. Raises Complaint.

    The servers keep it open too. When a copy was killed, they need a moment to end, and this waits for them.
    """
    descriptor = os.open(root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + ENDING_SECONDS
        while not _locked(descriptor):
            holder = os.pread(descriptor, 20, 0)
            if time.monotonic() > deadline or (holder.isdigit() and Path(f"/proc/{int(holder)}").exists()):
                raise Complaint(
                    f"Taskloom runs in {root} already: stop that copy, or start this one in another folder."
                )
            time.sleep(0.05)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def secret(folder: DataFolder, name: str) -> str:
    """Return the secret of a name: 64 hexadecimal digits, made on first use. Raises Complaint."""
    return _stored(folder, name, secrets.token_hex(32))


def identity_keys(folder: DataFolder) -> tuple[str, str]:
    """Return the key pair (PEM) of the gateway's identity header."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    stored = _stored(folder, "identity-key.pem", pem)
    try:
        key = serialization.load_pem_private_key(stored.encode(), password=None)
    except ValueError:
        raise Complaint(
            f"{folder.secrets / 'identity-key.pem'} is damaged: restore it, or start afresh with --reset."
        ) from None
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return stored, public.decode()


def _stored(folder: DataFolder, name: str, fresh: str) -> str:
    """Return the content of a secret's file; a folder with a database but without its secrets is not whole."""
    path = folder.secrets / name
    content = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    if len(content) >= len(fresh.strip()):
        return content
    if (folder.postgres / "PG_VERSION").exists():
        what = "damaged" if path.exists() else "missing, though there is data"
        raise Complaint(f"{path} is {what}: restore it, or start afresh with --reset.")
    written = path.with_suffix(".new")
    written.touch(mode=0o600)
    written.write_text(fresh, encoding="utf-8")
    written.replace(path)
    return fresh
