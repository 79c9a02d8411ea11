"""Black box through the gateway only: against TASKLOOM_URL, or a copy of the embedded default that is started here."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from testkit.contract import Contract, contract_client
from testkit.waiting import eventually

PASSWORD = "violet-harbor-77"
DOCUMENT_SECONDS = 60.0
RECEIVERS = {
    "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
    "EGRESS_ALLOWED_PORTS": "1-65535",
    "EGRESS_ALLOW_HTTP": "true",
}
"""What lets webhooks and chats reach the receivers of tests."""
PATHS_OF_SERVICES = {"/api/v1/auth/login", "/api/v1/tasks", "/api/v1/tasks/{task_id}/attachments", "/api/v1/ws-tickets"}


@dataclass
class User:
    """Somebody who is logged in."""

    id: str
    email: str
    headers: dict[str, str]
    refresh_token: str


@contextmanager
def running_copy(folder: Path, *, seeded: bool = False, **settings: str) -> Iterator[dict[str, Any]]:
    """Run a copy of the embedded default that keeps nothing; yield what it says of itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--ephemeral", "--json", *([] if seeded else ["--no-seed"]), "--port", str(port)]
    command = [sys.executable, "-m", "taskloom_cli.main", "up", *options]
    environment = {**os.environ, **RECEIVERS, **settings}
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()
    assert line, f"taskloom ended with {process.wait()}"
    try:
        yield json.loads(line)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        process.stdout.close()


@pytest.fixture(scope="session")
def start_copy() -> Callable[..., AbstractContextManager[dict[str, Any]]]:
    """Runs further copies, with settings of their own."""
    if "TASKLOOM_URL" in os.environ:
        pytest.skip("ONLY WITH COPIES OF ITS OWN: looks into logs, admin ports and settings")
    return running_copy


@pytest.fixture(scope="session")
def common_copy(
    start_copy: Callable[..., AbstractContextManager[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the copy says of itself that modules without settings of their own share."""
    with start_copy(tmp_path_factory.mktemp("taskloom")) as summary:
        yield summary


@pytest.fixture(scope="module")
def copy_settings() -> dict[str, str]:
    """What a module's copy has to be told. With anything, it is one of its own, whatever TASKLOOM_URL says."""
    return {}


@pytest.fixture(scope="module")
def copy(
    request: pytest.FixtureRequest,
    start_copy: Callable[..., AbstractContextManager[dict[str, Any]]],
    copy_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """What the copy that is started here says of itself; one with settings ends with its module, as it takes time."""
    if not copy_settings:
        yield request.getfixturevalue("common_copy")
        return
    with start_copy(tmp_path_factory.mktemp("taskloom"), **copy_settings) as summary:
        yield summary


@pytest.fixture(scope="module")
def base_url(request: pytest.FixtureRequest, copy_settings: dict[str, str]) -> str:
    given = None if copy_settings else os.environ.get("TASKLOOM_URL")
    return given.rstrip("/") if given else str(request.getfixturevalue("copy")["api"])


Mails = Callable[[str], Awaitable[list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def mails_to(request: pytest.FixtureRequest) -> Mails:
    """What has come for somebody to the mail catcher at TASKLOOM_MAIL_URL, or to that of our own copy; newest first."""
    if "TASKLOOM_URL" in os.environ and "TASKLOOM_MAIL_URL" not in os.environ:
        pytest.skip("ONLY WITH A MAIL CATCHER: set TASKLOOM_MAIL_URL beside TASKLOOM_URL")
    given = os.environ.get("TASKLOOM_MAIL_URL")
    url = given.rstrip("/") if given else str(request.getfixturevalue("copy")["mail"])

    async def mails_to(address: str) -> list[dict[str, Any]]:
        async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            listed = (await client.get("/api/messages")).json()
            return [(await client.get(f"/api/messages/{one['id']}")).json() for one in listed if address in one["to"]]

    return mails_to


@pytest.fixture(scope="module")
def contract(base_url: str) -> Contract:
    """The public document, once every service has made its part: on a busy machine that takes longer than one asks."""
    deadline = time.monotonic() + DOCUMENT_SECONDS
    while True:
        document = httpx2.get(f"{base_url}/openapi.json", timeout=30).raise_for_status().json()
        if document["paths"].keys() >= PATHS_OF_SERVICES or time.monotonic() > deadline:
            return Contract(document)
        time.sleep(0.5)


@pytest.fixture
async def api(base_url: str, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    async with contract_client(contract, base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture
def sign_up(api: httpx2.AsyncClient) -> Callable[[], Awaitable[User]]:
    async def sign_up() -> User:
        email = f"{secrets.token_hex(8)}@example.com"
        body = {"email": email, "password": PASSWORD, "display_name": "Somebody"}
        registered = await api.post("/api/v1/auth/register", json=body)
        assert registered.status_code == 201
        return await log_in(api, email)

    return sign_up


@pytest.fixture
def confirmed(
    api: httpx2.AsyncClient, sign_up: Callable[[], Awaitable[User]], mails_to: Mails
) -> Callable[[], Awaitable[User]]:
    """Signs somebody up whose address is confirmed."""

    async def confirmed() -> User:
        user = await sign_up()

        async def asked_to_confirm() -> list[dict[str, Any]]:
            return await mails_to(user.email)

        (mail,) = await eventually(asked_to_confirm)
        given = json.loads(re.search(r'^\{"token".*\}', mail["text"], re.MULTILINE)[0])
        assert (await api.post("/api/v1/auth/verify-email", json=given)).status_code == 200
        return user

    return confirmed


@pytest.fixture
def invitation_token(mails_to: Mails) -> Callable[..., Awaitable[str]]:
    """Returns the token in the latest of so many invitations of somebody."""

    async def invitation_token(user: User, count: int = 1) -> str:
        async def invited() -> list[str] | None:
            texts = [mail["text"] for mail in await mails_to(user.email)]
            found = [text for text in texts if "/invitations/accept" in text]
            return found if len(found) >= count else None

        latest, *before = await eventually(invited)
        assert len(before) == count - 1
        return str(json.loads(re.search(r'{"token".*?}', latest)[0])["token"])

    return invitation_token


@pytest.fixture
def let_in(api: httpx2.AsyncClient, invitation_token: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """Asks somebody whose address is confirmed into a workspace, and has them accept; returns the invitation's id."""

    async def let_in(owner: User, workspace: str, member: User) -> str:
        body, path = {"email": member.email, "role": "member"}, f"/api/v1/workspaces/{workspace}/invitations"
        asked = await api.post(path, json=body, headers=owner.headers)
        assert asked.status_code == 201, asked.text
        given = {"token": await invitation_token(member)}

        async def accepted() -> bool:
            # That the address is confirmed is known to the tasks service a moment later.
            answer = await api.post("/api/v1/invitations/accept", json=given, headers=member.headers)
            return bool(answer.status_code == 200)

        await eventually(accepted)
        return str(asked.json()["data"]["id"])

    return let_in


@pytest.fixture
def log_in_again(api: httpx2.AsyncClient) -> Callable[[User], Awaitable[User]]:
    async def again(user: User) -> User:
        return await log_in(api, user.email)

    return again


async def log_in(api: httpx2.AsyncClient, email: str) -> User:
    answer = await api.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200
    data = answer.json()["data"]
    headers = {"authorization": f"Bearer {data['access_token']}"}
    return User(data["user"]["id"], email, headers, data["refresh_token"])
