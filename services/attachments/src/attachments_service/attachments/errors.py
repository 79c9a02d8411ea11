from chassis.errors import AppError, Conflict, ErrorKind, InvalidInput, NotFound


class AttachmentNotFound(NotFound):
    """The same answer whether the file never was, is deleted or belongs to others."""


class TooManyAttachments(Conflict):
    code = "TOO_MANY_ATTACHMENTS"
    message = "This task has as many files as a task can have."


class ProjectArchived(Conflict):
    code = "PROJECT_ARCHIVED"
    message = "This project is archived: nothing in it changes until it is taken out of the archive."


class FileTooLarge(AppError):
    code = "FILE_TOO_LARGE"
    kind = ErrorKind.TOO_LARGE
    message = "This file is larger than what is accepted."


class FileNameInvalid(InvalidInput):
    code = "FILE_NAME_INVALID"
    message = "The file needs a name."


class RangeNotSatisfiable(AppError):
    code = "RANGE_NOT_SATISFIABLE"
    kind = ErrorKind.RANGE_UNSATISFIABLE
    message = "The file ends before the wanted range begins."
