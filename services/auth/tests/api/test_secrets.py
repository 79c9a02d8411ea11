"""Passwords and the tokens of links are where they belong, and nowhere else: looked for in every place there is."""

import logging
from uuid import UUID

import jwt
import pytest
import structlog
from chassis.ids import uuid7
from chassis.telemetry.logs import configure_logs

OLD, NEW, THIRD, WRONG = (f"Kanarienvogel-4711-{name}" for name in ("alt", "neu", "dritt", "falsch"))
COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'auth' ORDER BY 1, 2
"""


@pytest.fixture
def finest_log(capfd):
    """Returns all that has been logged by anything, at the finest level."""
    before, handlers, level = structlog.get_config(), logging.root.handlers, logging.root.level
    configure_logs(service="auth", level="DEBUG", form="json")
    structlog.configure(cache_logger_on_first_use=False)
    logging.root.setLevel(logging.DEBUG)
    yield lambda: "".join(capfd.readouterr())
    structlog.configure(**before)
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.fixture
def everything_stored(rows):
    """Returns all that is in the schema by table and column: as text, and bytes as what they spell."""

    async def everything_stored():
        found = {}
        for table, column, kind in await rows(COLUMNS):
            value = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            query = f"SELECT string_agg({value}, ' ') FROM auth.{table}"  # noqa: S608 - names from the database itself
            ((text,),) = await rows(query)
            found[f"{table}.{column}"] = text or ""
        return found

    return everything_stored


class Walk:
    """Somebody's way through the service: what was sent is answered as expected, and the answers are kept."""

    def __init__(self, client, headers, mails):
        self.client, self.headers, self.mails = client, headers, mails
        self.answers, self.tokens = [], []

    async def post(self, path, body, expected=200, **headers):
        answer = await self.client.post(f"/api/v1/auth/{path}", json=body, headers={**self.headers, **headers})
        assert answer.status_code == expected, (path, answer.text)
        self.answers.append(answer)
        return answer.json()["data"]

    async def get(self, path, token):
        self.answers.append(await self.client.get(f"/api/v1/auth/{path}", params={"token": token}))

    async def mailed(self, address):
        token = (await self.mails(address))[-1].token
        self.tokens.append(token)
        return token


async def sign_up(walk, email):
    wanted = {"email": email, "password": OLD, "display_name": "Ada"}
    await walk.post("register", wanted, 202)
    await walk.post("register", {**wanted, "password": [OLD]}, 422)
    await walk.post("register", {**wanted, "passwords": OLD}, 422)
    token = await walk.mailed(email)
    await walk.post("verify-email", {"token": token + "x"}, 422)
    await walk.get("verify-email", token)
    await walk.post("verify-email", {"token": token})
    await walk.get("verify-email", token)


async def log_in(walk, email, gateway):
    """Log in, and return the headers of the session."""
    await walk.post("login", {"email": email, "password": WRONG}, 401)
    form = {"username": email, "password": OLD, "scope": [OLD, OLD]}
    walk.answers.append(await walk.client.post("/api/v1/auth/token", data=form))
    tokens = await walk.post("login", {"email": email, "password": OLD})
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    return gateway.headers(UUID(claims["sub"]), session_id=UUID(claims["sid"]))


async def change(walk, mine, new_email):
    wanted = {"current_password": OLD, "new_password": NEW}
    await walk.post("password/change", {**wanted, "current_password": WRONG}, 403, **mine)
    await walk.post("password/change", {**wanted, "new_password": "short"}, 422, **mine)
    await walk.post("password/change", wanted, 200, **mine, **{"idempotency-key": "a"})
    body = {"email": new_email, "password": NEW}
    await walk.post("email/change", body, 202, **mine, **{"idempotency-key": "b"})
    token = await walk.mailed(new_email)
    await walk.get("verify-email", token)
    await walk.post("verify-email", {"token": token})


async def reset(walk, email):
    await walk.post("password/forgot", {"email": email}, 202)
    token = await walk.mailed(email)
    await walk.get("password/reset", token)
    await walk.post("password/reset", {"token": token, "password": "short"}, 422)
    await walk.post("password/reset", {"token": token, "password": THIRD})
    await walk.post("password/reset", {"token": token, "password": THIRD}, 422)
    await walk.post("login", {"email": email, "password": THIRD})


async def test_no_password_and_no_token_of_a_link_is_found_anywhere(
    open_api, test_gateway, mails, new_address, finest_log, everything_stored
):
    email, other = f"{uuid7().hex}@example.com", f"{uuid7().hex}@example.com"
    async with open_api(email_verification="required") as client:
        walk = Walk(client, {"x-client-address": new_address()}, mails)
        await sign_up(walk, email)
        mine = await log_in(walk, email, test_gateway)
        await change(walk, mine, other)
        await reset(walk, other)
    logging.root.debug("libraries are heard")
    log, stored = finest_log(), await everything_stored()
    assert log.count("request.served") == len(walk.answers)
    assert "libraries are heard" in log
    assert other in stored["account.email"]
    assert stored["idempotency_key.body"] != ""
    # The client of this test notes what it asks for, as a browser does in its history.
    served = [line for line in log.splitlines() if "HTTP Request: GET http://auth/" not in line]
    places = {"log": "\n".join(served), **stored}
    for number, answer in enumerate(walk.answers):
        places[f"answer {number}"] = f"{answer.text} {answer.headers}"
    secrets = (OLD, NEW, THIRD, WRONG, *walk.tokens)
    assert len(set(secrets)) == 7
    assert [(name, secret) for name, text in places.items() for secret in secrets if secret in text] == []
    assert not [name for name, text in places.items() if "$argon2" in text and name != "account.password_hash"]
