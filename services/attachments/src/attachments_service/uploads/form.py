"""Reading a multipart form with one file as it comes (RFC 7578): never more than a chunk of it is in memory."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chassis.errors import ErrorDetail, InvalidInput
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from attachments_service.uploads.errors import FormMalformed, FormRequired

FIELD = "file"
MAX_BOUNDARY_LENGTH = 70


@dataclass(frozen=True, slots=True)
class SentFile:
    """What the client says about its file, and the bytes to come."""

    name: str
    content_type: str | None
    chunks: AsyncIterator[bytes]


async def read_file(content_type: str | None, content_encoding: str | None, body: AsyncIterator[bytes]) -> SentFile:
    """Return the form's file as soon as its headers are here.

    Raises FormRequired for another kind of body and InvalidInput for a form without a `file`; then, and while the
    chunks are read, FormMalformed for a form that is broken or ends early and InvalidInput for further fields.
    """
    if content_encoding not in (None, "", "identity"):
        raise FormRequired
    return await _FormReader(_boundary(content_type), body).open()


def _boundary(content_type: str | None) -> bytes:
    media_type, options = parse_options_header(content_type)
    if media_type.strip() != b"multipart/form-data":
        raise FormRequired
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise FormMalformed
    return boundary


class _FormReader:
    """Feeds the parser, which calls back in the middle of it; what it finds is kept until somebody takes it."""

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_to_field,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )
        self._headers: dict[bytes, str] = {}
        self._field = b""
        self._value = b""
        self._file: SentFile | None = None
        self._pending: deque[bytes] = deque()
        self._ended = False

    async def open(self) -> SentFile:
        while self._file is None:
            await self._feed()
            if self._ended and self._file is None:
                raise InvalidInput(details=[ErrorDetail("REQUIRED", "This field is required.", FIELD)])
        return self._file

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._pending:
                yield self._pending.popleft()
            if self._ended:
                return
            await self._feed()

    async def _feed(self) -> None:
        """Take one chunk from the client."""
        chunk = await anext(self._body, None)
        if chunk is None:
            raise FormMalformed
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise FormMalformed from None

    def _begin_part(self) -> None:
        self._headers = {}
        self._field = self._value = b""

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        # Names are sent as raw UTF-8; the parser of header parameters takes text that stands for single bytes.
        self._headers[self._field.lower()] = self._value.decode("latin-1")
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if options.get(b"name") != FIELD.encode():
            hint = f"send one part with the name {FIELD}"
            raise InvalidInput(details=[ErrorDetail("UNKNOWN_FIELD", "There is no such field here.", hint=hint)])
        if self._file is not None:
            raise InvalidInput(details=[ErrorDetail("REPEATED_FIELD", "This field may be given only once.", FIELD)])
        # Bytes that are not UTF-8 become characters that a name may have.
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._file = SentFile(name, self._headers.get(b"content-type"), self._chunks())

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._pending.append(data[start:end])

    def _end(self) -> None:
        self._ended = True
