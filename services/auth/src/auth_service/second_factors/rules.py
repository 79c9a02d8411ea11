"""One-time codes (RFC 6238) and recovery codes (R13), without any I/O."""

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import pyotp

FactorMethod = Literal["totp", "recovery_code", "passkey"]

STEP_SECONDS = 30
SEED_BYTES = 20
ISSUER = "Taskloom"
PENDING_FOR = timedelta(minutes=10)
MAX_TRIES = 5
WINDOW = timedelta(minutes=5)

CODE_COUNT = 10
CODE_BYTES = 15
GROUP = 4
TOTP_CODE = re.compile(r"[0-9]{6}")
RECOVERY_CODE = re.compile(r"[A-Z2-7]{24}")
BETWEEN = re.compile(r"[\s-]")


def new_seed() -> str:
    """Return 160 random bits in base32, as authenticator apps take them."""
    return base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()


def seed_place(totp_id: UUID) -> str:
    """Return where a seed belongs: sealed for this place, it opens in no other row."""
    return f"totp|secret_sealed|{totp_id}"


def otpauth_uri(seed: str, *, owner: str) -> str:
    """Return what an authenticator app reads from a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=owner, issuer_name=ISSUER)


def tidy(otp: str) -> str:
    """Return a code as it is compared: people write it in groups, and in any case."""
    return BETWEEN.sub("", otp).upper()


def is_totp(code: str) -> bool:
    """Tell whether a tidy code has the form of a generator's."""
    return TOTP_CODE.fullmatch(code) is not None


def step_of(seed: str, code: str, *, now: datetime) -> int | None:
    """Return the step that a code is of, the one before and the one after now's included; None for a wrong one."""
    generator = pyotp.TOTP(seed)
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(generator.generate_otp(step).encode(), code.encode()):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return ten codes of 120 random bits each, in groups of four."""
    return [_grouped(base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()) for _ in range(CODE_COUNT)]


def recovery_digest(otp: str) -> bytes | None:
    """Return the SHA-256 of a recovery code, however it is written; None for what can't be one."""
    code = tidy(otp)
    return hashlib.sha256(code.encode()).digest() if RECOVERY_CODE.fullmatch(code) else None


def _grouped(code: str) -> str:
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))
