from chassis.errors import AppError, Conflict, ErrorKind, NotFound


class JobMissing(NotFound):
    """There is no such job of the caller."""


class JobFinished(Conflict):
    code = "JOB_FINISHED"
    message = "This job has ended: there is nothing left to cancel."


class TooManyJobs(Conflict):
    code = "TOO_MANY_JOBS"
    message = "You have as many jobs waiting as one may have: try again when some of them have ended."


class MakerInactive(AppError):
    """A job is done in its maker's name, and there is nobody of that name any more."""

    code = "ACCOUNT_INACTIVE"
    kind = ErrorKind.FORBIDDEN
    message = "The account that started this is not active any more."


class LeaseLost(Exception):
    """Somebody else has taken the job: all that was done in this transaction is to be undone."""
