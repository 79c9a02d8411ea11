"""What is posted to chats, and what their answers mean."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

import orjson
import pytest
from chassis.clock import utcnow
from chassis.egress.client import Egress
from chassis.egress.rules import EgressRules
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from notifications_service.chat.messages import payload_of, text_of
from notifications_service.chat.rules import url_place
from notifications_service.chat.sender import ChatDriver
from notifications_service.deliveries.drivers import Notice, Outgoing, Person, Postpone, Refused, TargetGone
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from testkit.servers import free_port

RING = KeyRing.parse("k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
LINK = "https://api.example/api/v1/tasks/7"
TASK = UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11")
HOSTILE = "<!channel> & <https://evil.example|click> @here *bold* <@U123>"


@dataclass
class Chat:
    """A chat's incoming webhook; `answers` are what it says, the last one for ever."""

    url: str = ""
    answers: list = field(default_factory=lambda: [Response(b"ok")])
    taken: list = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.taken.append((request.method, path, orjson.loads(await request.body())))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="session")
def serve_chat(serve_app):
    @asynccontextmanager
    async def serve_chat():
        found = Chat()
        app = Starlette(routes=[Route("/{path:path}", found.take, methods=["POST", "PATCH"])])
        async with serve_app(app) as port:
            found.url = f"http://127.0.0.1:{port}"
            yield found

    return serve_chat


@pytest.fixture
async def chat(serve_chat):
    async with serve_chat() as found:
        yield found


@pytest.fixture
def driver():
    rules = EgressRules(networks=(ip_network("127.0.0.0/8"),), ports=(range(1, 65536),), http=True)
    return ChatDriver(RING, Egress(rules))


def target(chat, kind="slack", path="/hook/secret"):
    found = uuid7()
    sealed = RING.seal(f"{chat.url}{path}".encode(), place=url_place(found))
    return {"id": found, "kind": kind, "url_sealed": sealed, "host": "127.0.0.1"}


def notice(text="Ada assigned SHOP-7 Buy milk to you", **changed):
    values = {"id": uuid7(), "kind": "assigned", "text": text, "created_at": utcnow(), "task_id": TASK, "link": LINK}
    return Notice(**{**values, **changed})


def message(to, told=None, **changed):
    values = {
        "delivery_id": uuid7(),
        "channel": "chat",
        "attempts": 1,
        "notification_id": uuid7(),
        "digest_id": None,
        "notices": [told or notice()],
        "person": Person(uuid7(), "Ben"),
        "target": to,
        "collapse_key": str(TASK),
    }
    return Outgoing(**{**values, **changed})


async def test_k4_slack_is_told_in_text_and_blocks(driver, chat):
    to = target(chat)
    await driver.send(message(to, notice(excerpt="Could you?")))
    text = "Ada assigned SHOP-7 Buy milk to you: Could you?"
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{LINK}|Open>"}]},
    ]
    assert chat.taken == [
        ("POST", "/hook/secret", {"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False})
    ]
    shown = driver.render(message(to))
    assert "secret" not in str(shown)
    assert shown["connection_kind"] == "slack"


def test_k4_no_title_mentions_a_channel_or_becomes_markup_in_slack():
    found = payload_of("slack", message({}, notice(HOSTILE, link=None)))
    escaped = "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; @here *bold* &lt;@U123&gt;"
    assert (found["text"], found["blocks"][0]["text"]["text"], len(found["blocks"])) == (escaped, escaped, 1)
    assert "<" not in orjson.dumps(found).decode()


def test_k4_no_title_mentions_anybody_in_discord():
    found = payload_of("discord", message({}, notice(HOSTILE)))
    assert found["allowed_mentions"] == {"parse": []}
    assert "@here" not in found["content"]
    assert found["content"].endswith(f"\n{LINK}")


@pytest.mark.parametrize("kind", ["mattermost", "discord"])
def test_k4_no_title_becomes_a_link_that_leads_elsewhere_than_it_says(kind):
    payload = payload_of(kind, message({}, notice("[Your bank](https://evil.example)", link=None)))
    assert (payload.get("content") or payload["text"]) == "\\[Your bank\\]\\(https://evil.example\\)"


@pytest.mark.parametrize("extra", ["", "x"])
def test_a_text_for_discord_is_not_cut_within_what_is_escaped(extra):
    content = payload_of("discord", message({}, notice(f"{extra}{'[' * 1499}", link=None)))["content"]
    assert 1690 < len(content) <= 2000
    assert content.removeprefix(extra).replace("\\[", "") == ""


@pytest.mark.parametrize("kind", ["mattermost", "generic"])
def test_k4_no_title_mentions_a_channel_elsewhere(kind):
    (text,) = payload_of(kind, message({}, notice(HOSTILE))).values()
    for mention in ("@here", "<!channel", "<@U"):
        assert mention not in text
    assert text.endswith(f"\n{LINK}")
    if kind == "mattermost":
        assert "\\*bold\\*" in text


@pytest.mark.parametrize("kind", ["slack", "mattermost", "discord", "generic"])
def test_a_long_text_fits_into_what_chats_take(kind):
    told = message({}, notice("&" * 5000, excerpt="x" * 200))
    payload = payload_of(kind, told)
    limit = {"slack": 3000, "discord": 2000}.get(kind, 4000)
    assert len(payload.get("content") or payload["text"]) <= limit
    assert len(text_of(told.notice)) == 1500


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, TargetGone), (410, TargetGone), (429, Postpone), (500, Postpone), (302, Refused), (400, Refused)],
)
async def test_k4_what_the_answer_of_a_chat_means(driver, chat, status, error):
    chat.answers = [Response(b"", status, {"retry-after": "30", "location": f"{chat.url}/elsewhere"})]
    with pytest.raises(error, match=f"status_{status}") as caught:
        await driver.send(message(target(chat)))
    if error is Postpone:
        assert caught.value.after == timedelta(seconds=30)
    assert len(chat.taken) == 1


async def test_k4_what_discord_has_is_changed_rather_than_followed(driver, chat):
    to = target(chat, "discord", "/api/webhooks/1/secret?thread_id=9")
    chat.answers = [Response(b'{"id": "1234"}'), Response(b'{"id": "1234"}')]
    sent = await driver.send(message(to))
    again = await driver.send(message(to, notice("Ada completed SHOP-7 Buy milk"), previous=sent.provider_id))
    assert (sent.provider_id, again.provider_id) == ("1234", "1234")
    assert [(method, path) for method, path, _ in chat.taken] == [
        ("POST", "/api/webhooks/1/secret?thread_id=9&wait=true"),
        ("PATCH", "/api/webhooks/1/secret/messages/1234?thread_id=9"),
    ]
    assert "completed" in chat.taken[1][2]["content"]


async def test_k4_what_somebody_deleted_in_discord_is_posted_anew(driver, chat):
    chat.answers = [Response(b"", 404), Response(b'{"id": "5678"}')]
    sent = await driver.send(message(target(chat, "discord"), previous="1234"))
    assert sent.provider_id == "5678"
    assert [method for method, _, _ in chat.taken] == ["PATCH", "POST"]


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"id": "../../x"}', b'{"id": 7}', b'{"id": "' + b"7" * 65 + b'"}'])
async def test_no_answer_of_a_chat_leads_elsewhere(driver, chat, answer):
    chat.answers = [Response(answer)]
    assert (await driver.send(message(target(chat, "discord")))).provider_id is None


async def test_k13_a_chat_inside_is_not_reached(chat):
    with pytest.raises(Postpone, match="blocked"):
        await ChatDriver(RING, Egress(EgressRules())).send(message(target(chat)))
    assert chat.taken == []


async def test_a_url_of_another_key_or_connection_waits(chat, driver):
    stolen = {**target(chat), "id": uuid7()}
    with pytest.raises(Postpone, match="sealed"):
        await driver.send(message(stolen))
    assert chat.taken == []


async def test_k4_a_test_message_is_posted_at_once_and_tells_how_that_went(api, headers, chat):
    body = {"name": "Me", "kind": "generic", "scope": {"type": "user"}, "url": f"{chat.url}/hook", "enabled": False}
    made = await api.post("/api/v1/chat-connections", json=body, headers=headers)
    test = f"{made.headers['location']}/test"
    assert (await api.post(test, headers=headers)).json()["data"] == {"delivered": True, "reason": None}
    assert chat.taken == [("POST", "/hook", {"text": "Taskloom is connected to this chat."})]
    chat.answers = [Response(b"", 404)]
    failed = await api.post(test, headers=headers)
    assert (failed.status_code, failed.json()["data"]) == (200, {"delivered": False, "reason": "status_404"})
    free = free_port()
    await api.patch(made.headers["location"], json={"url": f"http://127.0.0.1:{free}/"}, headers=headers)
    assert (await api.post(test, headers=headers)).json()["data"] == {"delivered": False, "reason": "connect"}


@pytest.mark.parametrize("asked", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "soon", "-5"])
async def test_k4_a_retry_after_that_means_nothing_is_a_failure_like_others(driver, chat, asked):
    chat.answers = [Response(b"", 429, {"retry-after": asked})]
    with pytest.raises(Postpone) as refused:
        await driver.send(message(target(chat, "slack")))
    assert (refused.value.reason, refused.value.after) == ("status_429", None)


async def test_k4_a_retry_after_beyond_all_measure_is_a_long_one(driver, chat):
    chat.answers = [Response(b"", 429, {"retry-after": "9" * 30})]
    with pytest.raises(Postpone) as refused:
        await driver.send(message(target(chat, "slack")))
    assert refused.value.after == timedelta(seconds=999_999_999)
