from types import MappingProxyType

from chassis.errors import InvalidInput


class TooManyOperations(InvalidInput):
    """`data.limit` is how many are done in one transaction."""

    code = "TOO_MANY_OPERATIONS"
    message = "These are more operations than are done in one transaction: send them in several requests."
    data_example = MappingProxyType({"limit": 500})


class NothingDone(InvalidInput):
    """`data` is what became of each operation."""

    code = "NOTHING_DONE"
    message = "None of the operations could be done."
