"""Calls to services that are busy."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from taskloom_cli.api_client import CallFailed, get, post


@pytest.fixture
def service():
    """Answers with the statuses that it is told, one after the other, and notes what it was asked."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            self._answer()

        def do_GET(self):
            self._answer()

        def _answer(self):
            asked.append((self.command, self.rfile.read(int(self.headers.get("content-length", 0)))))
            self.send_response(statuses.pop(0))
            self.end_headers()
            self.wfile.write(b'{"data": 7}')

        def log_message(self, *_):
            pass

    statuses, asked = [], []
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, statuses, asked
        server.shutdown()
        thread.join()


def test_a_service_that_is_too_busy_is_asked_again(service):
    port, statuses, asked = service
    statuses += [503, 503, 201, 503, 200]
    assert post(port, "/", {"a": 1}) == 7
    assert [(method, json.loads(body)) for method, body in asked] == [("POST", {"a": 1})] * 3
    assert get(port, "/", identity="i") == 7
    assert [method for method, _ in asked[3:]] == ["GET", "GET"]


def test_what_is_refused_for_other_reasons_is_not(service):
    port, statuses, asked = service
    statuses += [500, 429]
    for status in (500, 429):
        with pytest.raises(CallFailed) as refused:
            post(port, "/", {})
        assert refused.value.status == status
    assert len(asked) == 2
