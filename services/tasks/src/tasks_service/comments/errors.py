from chassis.errors import Conflict, InvalidInput, NotFound


class CommentNotFound(NotFound):
    """The same answer whether the comment never was or hangs on a task that is hidden."""


class CommentDeleted(Conflict):
    code = "COMMENT_DELETED"
    message = "This comment was deleted: only its place is left."


class ParentCommentNotFound(InvalidInput):
    code = "PARENT_NOT_FOUND"
    message = "There is no such parent that you can see."


class ReplyToReply(InvalidInput):
    code = "TOO_DEEP"
    message = "This is nested deeper than it can be."
