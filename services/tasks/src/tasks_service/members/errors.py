from chassis.errors import Conflict, InvalidInput, NotFound


class MemberMissing(NotFound):
    """The same answer whether there is no such user, or they are no member here."""


class UserNotFound(InvalidInput):
    code = "USER_NOT_FOUND"
    message = "There is no such member of this workspace, or their account is not in use."


class ManagedElsewhere(Conflict):
    code = "SERVICE_ACCOUNT_MEMBER"
    message = "This member is a service account, which is changed and deleted under /service-accounts."
