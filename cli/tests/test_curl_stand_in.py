"""The curl of machines that have none sends and shows what the real one does."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parent / "without_curl" / "curl"


class Echo(BaseHTTPRequestHandler):
    """Answers with what was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        shown = [self.requestline, str(self.headers["content-type"]), str(self.headers["if-match"]), body]
        self.send_response_only(201)
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write("\n".join(shown).encode())

    do_GET = do_PATCH = do_POST  # noqa: N815 - names of http.server

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def curl(*arguments):
    done = subprocess.run([STAND_IN, *arguments], capture_output=True, timeout=30, check=True)
    return done.stdout.decode()


def test_the_stand_in_asks_by_the_options_of_the_readme(url):
    json = ("-H", "Content-Type: application/json")
    assert curl("-s", f"{url}/a?cursor=&n=1") == "GET /a?cursor=&n=1 HTTP/1.1\nNone\nNone\n"
    assert curl("-s", url, "-d", "ü") == "POST / HTTP/1.1\napplication/x-www-form-urlencoded\nNone\nü"
    assert curl("-s", "-X", "POST", url) == "POST / HTTP/1.1\nNone\nNone\n"
    changed = curl("-si", "-X", "PATCH", url, "-H", 'If-Match: "1"', *json, "-d", "{}")
    assert changed == 'HTTP/1.1 201 Created\r\nETag: "1"\r\n\r\nPATCH / HTTP/1.1\napplication/json\n"1"\n{}'
