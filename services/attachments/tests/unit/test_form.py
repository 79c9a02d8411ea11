import pytest
from attachments_service.uploads.errors import FormMalformed, FormRequired
from attachments_service.uploads.form import read_file
from chassis.errors import InvalidInput

TYPE = "multipart/form-data; boundary=edge"


def part(content: bytes = b"hello", *, name: str = "file", filename: str | None = "a.txt") -> bytes:
    more = f'; filename="{filename}"' if filename is not None else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\nContent-Type: text/plain\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--edge--\r\n"


async def pieces(body: bytes, size: int):
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, *, content_type: str | None = TYPE, encoding: str | None = None, size: int = 7):
    sent = await read_file(content_type, encoding, pieces(body, size))
    return sent, b"".join([chunk async for chunk in sent.chunks])


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_form_is_read_whatever_the_pieces(size):
    content = b"--edg\r\n--edgar\r\n\0\xff" * 20
    sent, found = await read(part(content, filename="gr\u00fc\u00dfe.txt") + END, size=size)
    assert (sent.name, sent.content_type, found) == ("grüße.txt", "text/plain", content)


async def test_an_empty_file_is_a_file():
    _, found = await read(part(b"") + END)
    assert found == b""


async def test_what_follows_the_end_is_not_read():
    _, found = await read(part() + END + b"epilogue" * 1000)
    assert found == b"hello"


async def test_a_name_that_is_not_utf_8_is_still_text():
    body = part(filename="X").replace(b'"X"', b'"\xff\xfe.txt"') + END
    sent, _ = await read(body)
    assert sent.name == "\ufffd\ufffd.txt"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (END, "REQUIRED", "file"),
        (part(name="other") + END, "UNKNOWN_FIELD", None),
        (part() + part() + END, "REPEATED_FIELD", "file"),
        (part() + part(name="other") + END, "UNKNOWN_FIELD", None),
        (b"--edge\r\nX: y\r\n\r\nx\r\n" + END, "UNKNOWN_FIELD", None),
    ],
)
async def test_r30_a_form_has_exactly_one_file(body, code, field):
    with pytest.raises(InvalidInput) as refused:
        await read(body)
    assert [(detail.code, detail.field) for detail in refused.value.details] == [(code, field)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        part(),
        part()[:-10],
        b"--edge\r\nContent-Disposition",
        b"--edge\r\nContent Disposition: form-data\r\n\r\n" + END,
        b"--edge\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\nx\r\n" + END,
        b"--edge\r\n" + b"X: y\r\n" * 500 + b"\r\nx\r\n" + END,
        b"--other\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--other--",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
async def test_r27_a_broken_form_is_refused(body, size):
    with pytest.raises(FormMalformed):
        await read(body, size=size)


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 71}"])
async def test_r27_a_bad_boundary_is_refused(boundary):
    with pytest.raises(FormMalformed):
        await read(END, content_type=f"multipart/form-data{boundary}")


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [(None, None), ("application/json", None), ("multipart/mixed; boundary=edge", None), (TYPE, "gzip")],
)
async def test_r29_another_kind_of_body_is_refused(content_type, encoding):
    with pytest.raises(FormRequired):
        await read(part() + END, content_type=content_type, encoding=encoding)
