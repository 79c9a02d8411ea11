"""What may be set, and what the process says when it is wrong."""

import pytest
from chassis.settings import SettingsError
from chassis.web.health import Health
from notifications_service import cli, settings
from notifications_service.mailing.smtp import SmtpServer

KEY = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
NEEDED = {
    "DATABASE_URL": "postgresql://n:n@127.0.0.1:1/taskloom",
    "BROKER_URL": "redis://127.0.0.1:1",
    "REDIS_URL": "redis://127.0.0.1:1",
    "NOTIFICATIONS_TASKS_URL": "http://tasks:8000",
    "MAIL_SEALING_KEYS": KEY,
    "NOTIFICATIONS_SEALING_KEYS": KEY,
    "CURSOR_SECRET": "a secret of the tests, long enough",
}


@pytest.fixture
def load(monkeypatch):
    def load(**given):
        for name in ("SMTP_URL", "MAIL_FROM", "PUBLIC_BASE_URL", "ACCOUNT_LINKS_URL", "ENVIRONMENT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**NEEDED, **given}.items():
            monkeypatch.setenv(name, value)
        return settings.load()

    return load


def test_without_settings_mail_waits_and_has_a_sender_and_links(load):
    mail = load().mail
    assert mail.server is None
    assert str(mail.letterhead.sender) == "Taskloom <no-reply@localhost>"
    assert mail.letterhead.api_url == "http://127.0.0.1:8080"
    assert mail.letterhead.links_url == "http://127.0.0.1:8080/api/v1/auth"


def test_links_begin_with_what_is_set(load):
    base = {"PUBLIC_BASE_URL": "https://api.example/"}
    assert load(**base).mail.letterhead.links_url == "https://api.example/api/v1/auth"
    letterhead = load(**base, ACCOUNT_LINKS_URL="https://app.example/#/account/").mail.letterhead
    assert (letterhead.api_url, letterhead.links_url) == ("https://api.example", "https://app.example/#/account")
    assert load(**base).mail.tasks_url == "https://api.example/api/v1/tasks"
    assert load(**base, TASK_LINKS_URL="https://app.example/#/tasks/").mail.tasks_url == "https://app.example/#/tasks"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"MAIL_SEALING_KEYS": "k1:secret-but-short"}, "MAIL_SEALING_KEYS: Value error, expected kid:base64(32 bytes)"),
        ({"MAIL_SEALING_KEYS": ""}, "MAIL_SEALING_KEYS: is missing"),
        ({"NOTIFICATIONS_SEALING_KEYS": ""}, "NOTIFICATIONS_SEALING_KEYS: is missing"),
        ({"EGRESS_ALLOWED_PORTS": "secret"}, "EGRESS_ALLOWED_PORTS: Value error, "),
        (
            {"EGRESS_ALLOWED_NETWORKS": "10.0.0.1/8"},
            "EGRESS_ALLOWED_NETWORKS: Value error, 10.0.0.1/8 has host bits set",
        ),
        (
            {"ENVIRONMENT": "production", "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8"},
            "EGRESS_ALLOWED_NETWORKS: loopback can't be allowed in production.",
        ),
        ({"SMTP_URL": "http://secret@mail"}, "SMTP_URL: Value error, expected smtp://host:port"),
        ({"MAIL_FROM": "secret"}, "MAIL_FROM: Value error, expected Name <name@domain>"),
        ({"ACCOUNT_LINKS_URL": "javascript:secret"}, "ACCOUNT_LINKS_URL: Value error, expected a URL"),
        ({"ACCOUNT_LINKS_URL": "https://app.example/?secret"}, "ACCOUNT_LINKS_URL: Value error, expected a URL"),
        ({"PUBLIC_BASE_URL": "https://api.example/#secret"}, "PUBLIC_BASE_URL: Value error, expected a URL"),
        ({"PUBLIC_BASE_URL": "ftp://secret"}, "PUBLIC_BASE_URL: Value error, expected a URL"),
        (
            {"ENVIRONMENT": "production", "SMTP_URL": "smtp://mail"},
            "MAIL_FROM: in production mail needs a sender of its own (for example Taskloom <",
        ),
        (
            {"ENVIRONMENT": "production", "SMTP_URL": "smtp://mail.example", "MAIL_FROM": "Me <no-reply@localhost>"},
            "MAIL_FROM: in production mail needs a sender of its own (for example Taskloom <",
        ),
    ],
)
def test_what_is_wrong_is_said_by_name_and_never_shown(load, given, complaint):
    with pytest.raises(SettingsError) as refused:
        load(**given)
    assert str(refused.value).startswith(complaint)
    assert "secret" not in str(refused.value)


def test_in_production_a_sender_is_only_needed_where_mail_is_sent(load):
    assert load(ENVIRONMENT="production").mail.server is None
    sender = "Taskloom <no-reply@localhost>"
    found = load(ENVIRONMENT="production", SMTP_URL="smtp://mail", MAIL_FROM=sender).mail
    assert str(found.letterhead.sender) == sender


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail:1025", SmtpServer("mail", 1025)),
        ("smtp://mail", SmtpServer("mail", 25)),
        ("smtp://[::1]:25/", SmtpServer("::1", 25)),
        ("smtps://mail", SmtpServer("mail", 465, use_tls=True, start_tls=False)),
        ("smtp://mail:587?starttls=required", SmtpServer("mail", 587, start_tls=True)),
        ("smtp://a%40b:p%3Aw@mail:587", SmtpServer("mail", 587, start_tls=True, username="a@b", password="p:w")),
        (
            "smtps://a:b@mail:4650",
            SmtpServer("mail", 4650, use_tls=True, start_tls=False, username="a", password="b"),
        ),
    ],
)
def test_a_mail_server_is_what_its_url_says(url, server):
    assert SmtpServer.parse(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail:25",
        "http://mail",
        "smtp://",
        "smtp://:25",
        "smtp://mail:0",
        "smtp://mail:99999",
        "smtp://mail:port",
        "smtp://mail/path",
        "smtp://mail#part",
        "smtp://user@mail",
        "smtp://mail?starttls=never",
        "smtp://mail?tls=1",
        "smtp://mail?starttls=required&starttls=required",
        "smtp://mail ",
        "smtp://ma il",
        "smtp://mail\r\nQUIT",
    ],
)
def test_anything_else_is_no_mail_server(url):
    with pytest.raises(ValueError, match="expected smtp://host:port"):
        SmtpServer.parse(url)


def test_a_servers_password_is_in_no_text_about_it():
    assert "p4ss" not in repr(SmtpServer.parse("smtp://user:p4ss@mail"))


@pytest.mark.parametrize(("given", "well"), [({}, False), ({"SMTP_URL": "smtp://mail"}, None)])
async def test_a_worker_without_a_mail_server_is_ready_and_says_so(load, given, well):
    load(**given)
    _, background = cli.open_background()
    ready, checks = await Health(reported=background.reported).ready()
    assert ready
    assert (checks["mail"]["ok"] if "mail" in checks else None) is well
