from types import MappingProxyType

from chassis.errors import Conflict, InvalidInput


class TooManyOperations(InvalidInput):
    code = "TOO_MANY_OPERATIONS"
    message = "These are more operations than are done at once."


class NothingDone(InvalidInput):
    """`data` is what became of each operation."""

    code = "NOTHING_DONE"
    message = "None of the operations could be done."


class CountMismatch(Conflict):
    """`data.count` is how many tasks match now."""

    code = "COUNT_MISMATCH"
    message = "Another number of tasks than `expected_count` matches now."
    data_example = MappingProxyType({"count": 41})
