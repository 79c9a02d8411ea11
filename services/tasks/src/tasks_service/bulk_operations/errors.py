from chassis.errors import AppError, ErrorKind, InvalidInput


class UnknownTempId(InvalidInput):
    code = "UNKNOWN_TEMP_ID"
    message = "No operation before this one has this `temp_id`."


class DuplicateTempId(InvalidInput):
    code = "DUPLICATE_TEMP_ID"
    message = "An operation before this one has the same `temp_id`."


class UnknownDependency(InvalidInput):
    code = "UNKNOWN_DEPENDENCY"
    message = "An operation depends on operations before it: `depends_on` has their indexes, from 0."


class DependencyFailed(AppError):
    """What an operation depends on, or makes use of by its temporary id, was not done."""

    code = "DEPENDENCY_FAILED"
    kind = ErrorKind.FAILED_DEPENDENCY
    message = "An operation that this one depends on failed."
