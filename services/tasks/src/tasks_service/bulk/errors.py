from chassis.errors import InvalidInput


class TooManyOperations(InvalidInput):
    code = "TOO_MANY_OPERATIONS"
    message = "These are more operations than are done at once."


class NothingDone(InvalidInput):
    """`data` is what became of each operation."""

    code = "NOTHING_DONE"
    message = "None of the operations could be done."
