"""Clients that go away before they have said all."""

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

NOTES = "/api/v1/notes"
COUNTER = "taskloom_http_requests_total"


def served(status):
    return REGISTRY.get_sample_value(COUNTER, {"method": "POST", "route": NOTES, "status": status}) or 0.0


async def test_a_client_that_goes_away_within_its_body_is_no_crash_and_is_sent_nothing(app, caller, rows):
    headers = [(name.lower().encode(), value.encode()) for name, value in caller.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": NOTES,
        "raw_path": NOTES.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*headers, (b"content-type", b"application/json"), (b"content-length", b"40")],
        "client": ("127.0.0.1", 1),
        "server": ("notes", 80),
    }
    said = [{"type": "http.request", "body": b'{"title": ', "more_body": True}, {"type": "http.disconnect"}]
    sent, before = [], (served("499"), served("500"))

    async def receive():
        return said.pop(0)

    async def send(message):
        sent.append(message)

    with capture_logs() as logs:
        await app(scope, receive, send)
    assert sent == []
    assert [(one["event"], one["log_level"], one["status"]) for one in logs] == [("request.aborted", "info", 499)]
    assert (served("499"), served("500")) == (before[0] + 1, before[1])
    assert await rows("SELECT count(*) FROM notes.note") == [(0,)]
