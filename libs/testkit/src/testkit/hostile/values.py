"""What nobody sends by accident, in bodies, queries, paths and headers. `MARKER` is to be in no refusal."""

from typing import Any

MARKER = "qZx7marker"
MAX_BODY_BYTES = 1024 * 1024
UNKNOWN = f"is_{MARKER.lower()}"

BROKEN = {
    "lone surrogate": rb'"\ud800"',
    "surrogate within": rb'"%b\udfffb"' % MARKER.encode(),
    "overflow": b"1e999",
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "nested deeply": b"[" * 40 + b"]" * 40,
    "control character": b'"\x01"',
    "invalid UTF-8": b'"\xff"',
}
"""What is no JSON, or not as strict as it has to be, wherever it is."""
OUT_OF_RANGE = {
    "NUL": b'"%b\\u0000"' % MARKER.encode(),
    "10^20": b"100000000000000000000",
    "2^63": b"9223372036854775808",
    "-2^63-1": b"-9223372036854775809",
}
"""What is JSON and fits into no column."""
VALUES: dict[str, Any] = {
    "2^63-1": 2**63 - 1,
    "2^31": 2**31,
    "-1": -1,
    "zero": 0,
    "fraction": 1.5,
    "null": None,
    "true": True,
    "a number": 7,
    "empty text": "",
    "a blank": " ",
    "text": MARKER,
    "controls": f"{MARKER}\x01\x7f\u202e\u2028\ufeff\ufffe",
    "almost a megabyte": MARKER + "a" * 1_000_000,
    "a list": [MARKER],
    "empty list": [],
    "list of null": [None],
    "many entries": list(range(2_000)),
    "an object": {"a": MARKER},
    "empty object": {},
    "nested": [[[[[[[[MARKER]]]]]]]],
}
DATES = (
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "2026-02-30",
    "0000-00-00",
    "-2026-01-01",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "10000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T25:61:61Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+99:99",
    "1e30",
)
BODIES = {
    "cut short": b'{"a": "' + MARKER.encode(),
    "two values": b"{} {}",
    "white space": b"  ",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "nested without end": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too many values": b'{"a":[' + b"0," * 10_000 + b"0]}",
    "too long": b'{"a":"' + b"a" * MAX_BODY_BYTES + b'"}',
    "duplicate key": b'{"a":1,"a":2}',
    "duplicate key within": b'{"a":{"b":1,"b":2}}',
    "surrogate in a key": rb'{"\udfff":1}',
    "NUL in a key": rb'{"a\u0000b":1}',
    "many unknown fields": b"{" + b",".join(b'"f%d":1' % number for number in range(3_000)) + b"}",
    "very long field name": b'{"' + b"a" * 900_000 + b'":1}',
    "null": b"null",
    "a list": b"[]",
    "text": b'"%b"' % MARKER.encode(),
    "a number": b"7",
}
"""Bodies that no operation with a body takes."""
TYPES = (
    {"content-type": "text/plain"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-type": ""},
    {"content-encoding": "gzip"},
)
IN_QUERY = {
    "empty": "",
    "text": MARKER,
    "invalid UTF-8": "%FF%FE",
    "surrogate": "%ED%A0%80",
    "very long": MARKER + "a" * 6_000,
    "10^20": "100000000000000000000",
    "unicode": "%F0%9F%98%80%E2%80%AE",
    "pattern": "%25%5F%5C%27%3B--",
}
OF_NUMBERS = {
    "2^63": "9223372036854775808",
    "5,000 digits": "9" * 5_000,
    "-1": "-1",
    "zero": "0",
    "101": "101",
    "10001": "10001",
    "fraction": "1.5",
}
OF_LISTS = {"many by comma": "," * 300, "many times": MARKER + f",{MARKER}" * 300}
IN_PATH = {
    "no id": MARKER,
    "NUL": f"{MARKER}%00",
    "only NUL": "%00",
    "very long": "a" * 5_000,
    "unicode": "%F0%9F%98%80%E2%80%AE",
    "invalid UTF-8": "%FF%FE",
    "surrogate": "%ED%A0%80",
    "10^20": "100000000000000000000",
    "-1": "-1",
    "blank": "%20",
    "line break": f"{MARKER}%0D%0A",
    "a key": "T-99999999999999999999",
    "another key": "T-9223372036854775808",
    "nobody's id": "0199d3b2-0000-7000-8000-000000000000",
    "id in braces": "%7B0199d3b2-0000-7000-8000-000000000000%7D",
    "id as a URN": "urn%3Auuid%3A0199d3b2-0000-7000-8000-000000000000",
    "full width digits": "%EF%BC%97",
}
REFUSED_HEADERS = {
    "if-match": (b"7", b'W/"1"', b'"-1"', b'"1", "2"', b'"x"', b"\xff\xfe", b'"' + b"9" * 4_000 + b'"', b""),
    "idempotency-key": (b"a" * 256, b"", b"\xff\xfe", b"a\tb", "é".encode()),
    "x-min-cursor": (MARKER.encode(), b"\xff\xfe", b"a" * 17_000, b"AAAA"),
}
STRANGE_HEADERS = (
    {"prefer": b""},
    {"prefer": b"\xff\xfe, return=minimal;;;=,,,", "accept": b"\xff\xfe", "if-none-match": b"\xff\xfe"},
    {"prefer": b"a" * 4_000, "accept": b"a/b;q=x, */*;q=1e999", "if-none-match": b'"' * 999},
    {
        "x-request-id": b"\xff" * 999,
        "traceparent": b"00-zz-zz-zz",
        "user-agent": b"\xff" * 300,
        "accept-language": b"\xff",
    },
)
