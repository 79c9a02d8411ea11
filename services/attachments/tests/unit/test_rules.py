import pytest
from attachments_service.attachments.rules import disposition, safe_name, stored_type, wanted_range

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
MP3 = b"ID3\x03\x00\x00\x00\x00\x00\x00"
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + b"\0" * 64


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\ann\\list.txt", "list.txt"),
        ("/absolute/name", "name"),
        ("a\0b.txt", "ab.txt"),
        ("line\r\nSet-Cookie: a=b", "lineSet-Cookie: a=b"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\u2066x\u2069.txt", "x.txt"),
        ("\ufeffbom.txt", "bom.txt"),
        ("u\u0308bersicht.txt", "\u00fcbersicht.txt"),
        ("漢字 📎.txt", "漢字 📎.txt"),
        ("👩\u200d👩\u200d👧.png", "👩\u200d👩\u200d👧.png"),
        ("  spaced .txt ", "spaced .txt"),
        (".hidden", ".hidden"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("é" * 200 + ".pdf", "é" * 125 + ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 253),
        ("x" * 300, "x" * 255),
        (".", None),
        ("..", None),
        ("...", None),
        ("", None),
        ("folder/", None),
        ("\0\u202e", None),
        ("   ", None),
    ],
)
def test_r56_names(sent, kept):
    assert safe_name(sent) == kept
    assert kept is None or len(kept.encode()) <= 255


@pytest.mark.parametrize(
    ("declared", "head", "stored"),
    [
        ("image/png", PNG, "image/png"),
        ("IMAGE/PNG; x=y", PNG, "image/png"),
        ("image/png", HTML, "application/octet-stream"),
        ("image/jpeg", PNG, "application/octet-stream"),
        ("application/pdf", PDF, "application/pdf"),
        ("text/plain", b"hello", "text/plain"),
        ("text/plain", EXE, "application/octet-stream"),
        ("application/json", b"{}", "application/json"),
        ("text/html", HTML, "application/octet-stream"),
        ("image/svg+xml", b"<svg onload='alert(1)'/>", "application/octet-stream"),
        ("application/javascript", b"alert(1)", "application/octet-stream"),
        ("application/x-msdownload", EXE, "application/octet-stream"),
        ("audio/mpeg", MP3, "audio/mpeg"),
        ("audio/mpeg", HTML, "application/octet-stream"),
        ("audio/x\r\nset-cookie: a=b", MP3, "application/octet-stream"),
        (None, PNG, "image/png"),
        ("application/octet-stream", PDF, "application/pdf"),
        (None, HTML, "application/octet-stream"),
        (None, b"", "application/octet-stream"),
        ("nonsense", b"x", "application/octet-stream"),
    ],
)
def test_r56_types_by_magic_and_declaration(declared, head, stored):
    assert stored_type(declared, head) == stored


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
        ('q"uo;te.txt', "attachment; filename=\"q_uo_te.txt\"; filename*=UTF-8''q%22uo%3Bte.txt"),
        ("ü漢.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%BC%E6%BC%A2.txt"),
    ],
)
def test_r59_disposition(name, header):
    assert disposition(name) == header


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("BYTES=2-5", (2, 6)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=5-99999999999999999999", (5, 10)),
        ("bytes=0-1,3-4", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
    ],
)
def test_r59_ranges_of_ten_bytes(header, part):
    assert wanted_range(header, 10) == part


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_r59_unsatisfiable_ranges(header, size):
    with pytest.raises(ValueError, match="no byte"):
        wanted_range(header, size)
