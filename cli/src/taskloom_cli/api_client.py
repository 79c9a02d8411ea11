"""The few calls that this command makes to its own gateway."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any

from taskloom_cli.ports import HOST

SECONDS = 15


class CallFailed(Exception):
    """The API refused a call; the text has the status and the answer."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(f"{status}: {answer[:300]}")
        self.status = status


def call(port: int, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
    """Call the API and return the envelope's data. Raises CallFailed, or OSError without an answer."""
    headers = {"content-type": "application/json"} if body is not None else {}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read().decode()
    except HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()
    if response.status >= 400:  # noqa: PLR2004 - any refusal
        raise CallFailed(response.status, answer)
    return json.loads(answer)["data"]


def is_ready(port: int) -> bool:
    """Tell whether a process answers that it is ready."""
    try:
        call(port, "GET", "/readyz")
    except (OSError, CallFailed):
        return False
    return True
