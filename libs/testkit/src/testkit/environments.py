"""Environments of processes under test."""

from typing import Any

from chassis.settings import groups_of, variables


def required_settings(settings_type: type[Any]) -> dict[str, str]:
    """Return every variable that a process can't start without, with the example of its own documentation."""
    fields = {name: field for group in groups_of(settings_type).values() for name, field in variables(group).items()}
    return {name: str(field.examples[0]) for name, field in fields.items() if field.is_required() and field.examples}
