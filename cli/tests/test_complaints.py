"""What keeps a copy from starting is said in one sentence."""

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def kept(start):
    """The data of a copy that has ended."""
    copy = start("--no-seed")
    assert copy.end() == 0
    return copy.data


def test_damage_and_missing_files(kept, complaint, start, status):
    version = kept / "postgres" / "PG_VERSION"
    version.write_text("12\n")
    assert "made by PostgreSQL 12" in complaint()
    version.unlink()
    assert "is damaged" in complaint()
    version.write_text("18\n")
    control = kept / "postgres" / "global" / "pg_control"
    content = control.read_bytes()
    os.truncate(control, 100)
    assert "The database did not start" in complaint()
    control.write_bytes(content)
    log = next((kept / "valkey").rglob("*.incr.aof"))
    log.write_bytes(b"*3\r\n$9\r\nnonsense!\r\n" + log.read_bytes())
    assert "Valkey did not start" in complaint()
    secret = kept / "secrets" / "cursor-secret"
    moved = secret.rename(kept / "elsewhere")
    assert "cursor-secret is missing" in complaint()
    secret.touch()
    assert "cursor-secret is damaged" in complaint()
    moved.rename(secret)
    (kept / "secrets" / "database-password").write_text("0" * 64)
    (kept / "valkey").rename(kept / "valkey-damaged")
    assert "database-password" in complaint()
    (kept / "taskloom-data").rename(kept / "other")
    assert "was not made by taskloom" in complaint("--reset")
    (kept / "other").rename(kept / "taskloom-data")
    (kept / "lock").write_text("nonsense")
    fresh = start("--no-seed", "--reset")
    assert status(f"{fresh.api}/status") == 200


def test_settings_that_are_wrong_are_all_named_at_once(complaint, place):
    said = complaint(
        GATEWAY_RATE_LIMIT_PER_MINUTE="abc",
        AUTH_TYPO="1",
        LOG_LEVEL="LOUD",
        TASKS_X_FILE="/none",
        BROKER_URL="http://x",
    )
    assert said.startswith("Reading the settings failed: ")
    for part in (
        "GATEWAY_RATE_LIMIT_PER_MINUTE: Input should be a valid integer",
        "AUTH_TYPO: there is no such setting",
    ):
        assert part in said
    for part in ("LOG_LEVEL: Input should be 'DEBUG'", "BROKER_URL: Value error, expected a URL", "TASKS_X_FILE"):
        assert said.count(part) == 1
    assert "HOST: everything listens on 127.0.0.1" in complaint(HOST="example.invalid")


def test_a_mail_catcher_that_is_told_nonsense_says_so(mail_catcher):
    done = mail_catcher(SMTP_PORT="many", LOG_LEVEL="LOUD")
    assert done.returncode == 2
    first, *problems = done.stderr.splitlines()
    assert first == "mail can't start with these settings:"
    assert [problem.partition(":")[0] for problem in problems] == ["LOG_LEVEL", "SMTP_PORT"]


def test_a_folder_that_cannot_be_written(complaint, place):
    (place / ".taskloom").write_text("a file, not a folder")
    assert str(place / ".taskloom") in complaint()


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY AS ROOT: makes a small file system")
def test_a_full_disk(complaint, place):
    small = place / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"MOUNT REFUSED, so nothing tells how a full disk is met: {mounted.stderr.decode().strip()}")
    try:
        assert "is full" in complaint(folder=small)
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY AS ROOT: gives up a right of root")
def test_a_port_that_only_root_may_have(complaint):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("EVERYBODY MAY LISTEN ON ANY PORT HERE, so nothing tells how a refusal is met")
    said = complaint(port=81, before=["setpriv", "--bounding-set", "-net_bind_service"])
    assert said == "Port 81 is not for everybody: choose one above 1023 with --port."
