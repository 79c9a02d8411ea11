"""A mail on its whole way: from a request through the event and the SMTP server to a mailbox."""

import json
import re

from testkit.waiting import eventually


async def test_whoever_makes_an_api_token_is_told_by_one_mail(api, sign_up, mails_to):
    user = await sign_up()

    async def asked_to_confirm():
        return await mails_to(user.email)

    (link,) = await eventually(asked_to_confirm)
    given = json.loads(re.search(r'^\{"token".*\}', link["text"], re.MULTILINE)[0])
    assert (await api.post("/api/v1/auth/verify-email", json=given)).status_code == 200
    body = {"name": "ci on <my> machine", "scopes": ["tasks:read"]}
    answer = await api.post("/api/v1/auth/tokens", json=body, headers=user.headers)
    assert answer.status_code == 201

    async def arrived():
        found = await mails_to(user.email)
        return found if len(found) > 1 else None

    mail, _ = await eventually(arrived)
    assert mail["subject"] == "An API token was made"
    assert mail["from"].startswith("Taskloom <")
    assert "Hello Somebody," in mail["text"]
    assert "Name: ci on <my> machine" in mail["text"]
    assert "Scopes: tasks:read" in mail["text"]
    assert "ci on &lt;my&gt; machine" in mail["html"]
    assert answer.json()["data"]["token"] not in mail["text"] + mail["html"]
