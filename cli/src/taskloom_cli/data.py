"""The folder that one copy of Taskloom keeps everything in."""

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from taskloom_cli.complaints import Complaint

MARKER = "taskloom-data"
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
        for part in (folder.valkey, folder.files, folder.logs, folder.secrets):
            part.mkdir(parents=True, exist_ok=True)
        folder.secrets.chmod(0o700)
        (folder.root / MARKER).write_text("Made by taskloom; --reset deletes this folder.\n", encoding="utf-8")
        if shutil.disk_usage(folder.root).free < NEEDED_BYTES:
            raise Complaint(f"The disk of {folder.root} is full: at least 200 MB must be free.")
    except OSError as error:
        raise Complaint(explain(error, home)) from None
    return folder


def explain(error: OSError, path: Path) -> str:
    """Say what a failing file operation means."""
    where = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {path} is full: make room and start again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} can't be written: check its owner and permissions."
    return f"{where}: {error.strerror}."


def _folder(home: Path, *, ephemeral: bool, reset: bool) -> DataFolder:
    if ephemeral:
        root = Path(tempfile.mkdtemp(prefix="taskloom-"))
        root.chmod(0o711)
        return DataFolder(root, ephemeral=True)
    root = home / ".taskloom" / "data"
    if reset and root.exists():
        if not (root / MARKER).exists():
            raise Complaint(f"{root} was not made by taskloom, so --reset leaves it alone: move it away yourself.")
        with hold(root):
            shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    return DataFolder(root, ephemeral=False)


class hold:  # noqa: N801 - used as a with-statement
    """Holds the folder's lock: one copy runs in a folder at a time. Raises Complaint."""

    def __init__(self, root: Path) -> None:
        self._path = root / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise Complaint(
                f"Taskloom runs in {self._path.parent} already: stop that copy, or start this one in another folder."
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


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
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    if (folder.postgres / "PG_VERSION").exists():
        raise Complaint(f"{path} is missing, though there is data: restore it, or start afresh with --reset.")
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(fresh)
    return fresh
