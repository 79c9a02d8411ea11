from chassis.errors import AppError, ErrorKind, InvalidInput


class FileTypeUnsupported(AppError):
    code = "FILE_TYPE_UNSUPPORTED"
    kind = ErrorKind.UNSUPPORTED_MEDIA
    message = "The body is the file: application/x-ndjson, or text/csv, in UTF-8 and without a content encoding."


class FileNotText(InvalidInput):
    code = "FILE_NOT_UTF8"
    message = "The first line of the table is no text in UTF-8: save it in this encoding."


class TitleMissing(InvalidInput):
    code = "TITLE_COLUMN_MISSING"
    message = "The first line of the table names its columns, with commas between them, and one of them is `title`."


class ColumnRepeated(InvalidInput):
    code = "COLUMN_REPEATED"
    message = "The first line of the table names a column twice."
