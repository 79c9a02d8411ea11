"""What an e-mail address is, and when two of them are the same (R12)."""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

MAX_EMAIL = 254
MAX_LOCAL_PART = 64


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address as it was written, and the form by which two of them are compared."""

    display: str
    canonical: str


def parse_email(text: str) -> EmailAddress | None:
    """Return the address, or None when it is none."""
    tidy = unicodedata.normalize("NFKC", text).strip()
    if len(tidy) > MAX_EMAIL:
        return None
    try:
        valid = validate_email(tidy, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        return None
    if len(valid.local_part) > MAX_LOCAL_PART:
        return None
    canonical = f"{valid.local_part.lower()}@{valid.ascii_domain.lower()}"
    return EmailAddress(valid.normalized, canonical)
