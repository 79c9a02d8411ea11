from chassis.errors import InvalidInput, VersionConflict


class PreferencesVersionConflict(VersionConflict):
    message = "Your preferences were changed since the version that you sent in If-Match."


class WorkspaceNotFound(InvalidInput):
    code = "WORKSPACE_NOT_FOUND"
    message = "There is no such workspace that you can see."


class ProjectNotFound(InvalidInput):
    code = "PROJECT_NOT_FOUND"
    message = "There is no such project that you can see."
