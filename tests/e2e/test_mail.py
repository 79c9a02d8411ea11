"""A mail on its whole way: from a request through the event and the SMTP server to a mailbox."""

from testkit.waiting import eventually


async def test_whoever_makes_an_api_token_is_told_by_one_mail(api, sign_up, mails_to):
    user = await sign_up()
    body = {"name": "ci on <my> machine", "scopes": ["tasks:read"]}
    answer = await api.post("/api/v1/auth/tokens", json=body, headers=user.headers)
    assert answer.status_code == 201

    async def arrived():
        return await mails_to(user.email)

    (mail,) = await eventually(arrived)
    assert mail["subject"] == "An API token was made"
    assert mail["from"].startswith("Taskloom <")
    assert "Hello Somebody," in mail["text"]
    assert "Name: ci on <my> machine" in mail["text"]
    assert "Scopes: tasks:read" in mail["text"]
    assert "ci on &lt;my&gt; machine" in mail["html"]
    assert answer.json()["data"]["token"] not in mail["text"] + mail["html"]
