"""What fields of a task were, from what the log tells of their changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Fields = dict[str, Any]

OWN = (
    "title",
    "description",
    "status",
    "priority",
    "start",
    "due",
    "deadline",
    "estimate_minutes",
    "completion_policy",
    "reopen_on_assign",
    "custom",
    "category_id",
    "labels",
    "assignees",
)
"""What a task says of itself; where it is, and what names it, is another matter."""


def before_all(changes: Iterable[Sequence[Mapping[str, Any]]]) -> Fields:
    """Return what each field was that was changed, from lists of changes in their order."""
    former: Fields = {}
    for of_one_version in changes:
        for change in of_one_version:
            former.setdefault(change["field"], change["old"])
    return former


def as_input(former: Mapping[str, Any], names: Iterable[str] = OWN) -> Fields:
    """Return those of the fields that are named here as a patch of the task has them."""
    known = dict(former)
    if "assigned_to" in known and "assignees" not in known:
        # Told by releases that knew of one assignee only.
        known["assignees"] = [known["assigned_to"]] if known["assigned_to"] else []
    found = {name: known[name] for name in names if name in known}
    for name, empty in (("labels", []), ("assignees", []), ("custom", {})):
        if name in found and found[name] is None:
            found[name] = empty
    if found.get("due") is not None:
        found["due"] = due_input(found["due"])
    return found


def due_input(shown: Mapping[str, Any]) -> Fields:
    """Return the due that is shown so, as it is sent."""
    if shown["kind"] == "at":
        return {"at": shown["at"], "timezone": shown["timezone"]}
    return {shown["kind"]: shown[shown["kind"]]}
