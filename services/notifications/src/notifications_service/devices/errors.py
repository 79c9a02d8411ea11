from chassis.errors import AppError, ErrorKind, InvalidInput, VersionConflict


class ChannelNotConfigured(AppError):
    code = "CHANNEL_NOT_CONFIGURED"
    kind = ErrorKind.INVALID
    message = "This installation does not send in this way: its operator has not set it up."


class TooManyDevices(InvalidInput):
    code = "TOO_MANY"
    message = "You have 20 devices, and there are no more than that: delete one that you do not use."


class DeviceVersionConflict(VersionConflict):
    message = "This device was changed since the version that you sent in If-Match."
