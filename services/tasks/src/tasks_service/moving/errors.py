from types import MappingProxyType

from chassis.errors import InvalidInput


class AnotherWorkspace(InvalidInput):
    """Labels, categories and members are of one workspace, so what hangs on a task would not be there."""

    code = "ANOTHER_WORKSPACE"
    message = "A task moves between projects of one workspace."


class StatusUnmapped(InvalidInput):
    """`data.statuses` are the keys for which the other project has neither the same nor one of the same category."""

    code = "STATUS_UNMAPPED"
    message = "The project has nothing like these statuses: say with `status_map` which ones the tasks get."
    data_example = MappingProxyType({"statuses": ["in_review"]})
