"""Pure rules of what apps keep with tasks."""

from typing import Any
from uuid import UUID

import orjson
from chassis.identity import Principal

NAMESPACE_PATTERN = r"^[a-z0-9][a-z0-9._-]{1,62}$"
MAX_BYTES = 16 * 1024
MAX_DEPTH = 20
MAX_ENTRIES = 100
"""Namespaces with one task."""


def app_of(caller: Principal) -> UUID:
    """Return whose a namespace is that a caller uses: the API token's, the service account's, or the person's."""
    return caller.session_id if caller.via == "token" else caller.user_id


def is_same(value: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: `true` is not 1, and the order of names is no matter."""
    first, second = (orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in (value, other))
    return first == second


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether objects and lists are in each other for more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(is_deeper(one, levels - 1) for one in inner)
