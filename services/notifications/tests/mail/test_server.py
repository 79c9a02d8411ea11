"""One conversation with a real mail server: whatever it does, we know whether it has the mail."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.smtp import AuthResult
from chassis.clock import utcnow
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from notifications_service.mailing.smtp import SmtpServer, Undelivered
from testkit.servers import free_port

MESSAGE = b"From: a@b.example\r\nTo: ada@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"
GOAL = {"sender": "no-reply@tasks.example", "recipient": "ada@example.com"}


def answers(text):
    async def answer(_server):
        return text

    return answer


async def hang(_server):
    await asyncio.Event().wait()


async def die(server):
    server.transport.abort()
    return "250 never seen"


async def refused(server):
    """Return why a mail was not taken, and whether for good."""
    with pytest.raises(Undelivered) as error:
        await server.deliver(MESSAGE, **GOAL)
    assert "ada" not in str(error.value)
    return error.value.reason, error.value.permanent


def at(mail_server, seconds=5.0, **options):
    return SmtpServer("127.0.0.1", mail_server.port, seconds=seconds, **options)


async def test_a_mail_that_is_taken_arrives_once(mail_server):
    await at(mail_server).deliver(MESSAGE, **GOAL)
    assert [str(one["subject"]) for one in mail_server.messages] == ["Hi"]
    assert mail_server.recipients == ["ada@example.com"]


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        *(("421 not ada", False), ("450 not ada", False), ("452 4.1.1 not ada", False), ("450 5.1.1 not ada", False)),
        *(("550 not ada@example.com", True), ("551 not ada", True), ("553 not ada", True)),
        *(("550 5.1.1 no such user ada", True), ("550 5.2.1 ada is disabled", True), ("556 5.1.10 no mail", True)),
        *(("530 authentication required", False), ("530 5.7.0 must issue STARTTLS first", False)),
        *(("550 5.7.1 relaying denied", False), ("554 5.7.1 relay access denied", False), ("554 no", False)),
        *(("550 5.1.8 sender's domain not found", False), ("553 5.1.7 sender rejected", False)),
        *(("502 not implemented", False), ("552 5.2.2 ada's mailbox is full", False)),
    ],
)
async def test_only_a_refusal_of_the_address_itself_is_for_good(mail_server, answer, permanent):
    mail_server.on_recipient = answers(answer)
    assert await refused(at(mail_server)) == (f"recipient_{answer[:3]}", permanent)
    assert mail_server.messages == []


@pytest.mark.parametrize(
    ("code", "permanent"), [(421, False), (451, False), (530, False), (550, True), (552, True), (554, True)]
)
async def test_a_refusal_of_the_text_is_for_good_from_500_on(mail_server, code, permanent):
    mail_server.on_data = answers(f"{code} not this of ada@example.com")
    assert await refused(at(mail_server)) == (f"data_{code}", permanent)
    assert mail_server.messages == []


async def test_a_server_that_dies_or_is_not_there_is_tried_again(mail_server):
    mail_server.on_recipient = die
    assert await refused(at(mail_server)) == ("SMTPServerDisconnected", False)
    mail_server.on_recipient, mail_server.on_data = answers("250 OK"), die
    assert await refused(at(mail_server)) == ("SMTPServerDisconnected", False)
    assert await refused(SmtpServer("127.0.0.1", free_port())) == ("SMTPConnectError", False)


async def test_a_slow_server_has_so_many_seconds_for_all_of_it(mail_server):
    mail_server.on_data = hang
    reason, permanent = await refused(at(mail_server, seconds=0.5))
    assert "Timeout" in reason
    assert not permanent

    async def drip(_server):
        await asyncio.sleep(0.4)
        return "250 OK"

    mail_server.on_recipient = mail_server.on_data = drip
    assert "Timeout" in (await refused(at(mail_server, seconds=0.6)))[0]


async def test_a_server_that_says_nothing_at_all_is_given_up():
    async def silent(reader, writer):
        await reader.read()
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert "Timeout" in (await refused(SmtpServer("127.0.0.1", port, seconds=0.3)))[0]
    await asyncio.wait_for(ended.wait(), 5)
    server.close()


@asynccontextmanager
async def scripted(*answers):
    """A server that says these bytes whatever it is told, and then waits; `ended` is set when its client has gone."""

    async def talk(reader, writer):
        for answer in answers:
            writer.write(answer)
            await reader.readline()
        await reader.read()
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield SmtpServer("127.0.0.1", server.sockets[0].getsockname()[1], seconds=5.0), ended
    server.close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "SMTPResponseException_-1"),
        ((b"\xff\xfe\x00\r\n",), "SMTPResponseException_-1"),
        ((b"\r\n",), "SMTPResponseException_-1"),
        ((b"999 what\r\n",), "SMTPConnectResponseError_999"),
        ((b"220 " + b"x" * 70_000 + b"\r\n",), "SMTPResponseException_-1"),
        ((b"220 hi\r\n", b"\x00\xff\r\n"), "SMTPResponseException_-1"),
        (
            (b"220 hi\r\n", b"250-\xff\r\n250 SIZE=\x00 AUTH=\r\n", b"25O ok\r\n", b"250 ok\r\n"),
            "SMTPResponseException_-1",
        ),
    ],
    ids=["http", "bytes", "empty", "code", "long", "hello", "sender"],
)
async def test_what_is_no_answer_of_a_mail_server_is_tried_again(answers, reason):
    async with scripted(*answers) as (server, ended):
        assert await refused(server) == (reason, False)
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_conversation_that_is_called_off_is_hung_up():
    async with scripted(b"220 hi\r\n", b"250 hi\r\n") as (server, ended):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.deliver(MESSAGE, **GOAL), 0.3)
        await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("goodbye", [die, hang])
async def test_what_comes_after_the_servers_yes_does_not_matter(mail_server, goodbye):
    mail_server.on_quit = goodbye
    await at(mail_server, seconds=1.0).deliver(MESSAGE, **GOAL)
    assert len(mail_server.messages) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1, and a context that serves it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = utcnow()
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("certificate")
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, private)
    return chain, context


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


async def test_tls_is_used_where_it_is_offered_and_only_with_a_certificate_that_we_trust(
    serve_mail, certificate, monkeypatch
):
    async with serve_mail(tls_context=certificate[1], require_starttls=True) as server:
        assert "SSL" in (await refused(at(server)))[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        await at(server).deliver(MESSAGE, **GOAL)
        assert len(server.messages) == 1


async def test_tls_from_the_start(serve_mail, certificate, trusted):
    async with serve_mail(tls=certificate[1]) as server:
        await at(server, use_tls=True, start_tls=False).deliver(MESSAGE, **GOAL)
        assert len(server.messages) == 1


async def test_required_tls_that_is_not_offered_is_no_delivery(mail_server):
    server = SmtpServer.parse(f"smtp://127.0.0.1:{mail_server.port}?starttls=required")
    assert await refused(server) == ("SMTPException", False)
    assert mail_server.recipients == []


async def test_a_password_is_told_over_tls_alone(serve_mail, certificate, trusted):
    told = []

    def authenticate(_server, _session, _envelope, mechanism, data):
        told.append((mechanism, data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    options = {"authenticator": authenticate, "auth_exclude_mechanism": ["LOGIN"]}
    async with serve_mail(auth_require_tls=False, **options) as plain:
        server = SmtpServer.parse(f"smtp://user:right@127.0.0.1:{plain.port}")
        assert await refused(server) == ("SMTPException", False)
        assert told == []
    async with serve_mail(tls_context=certificate[1], auth_required=True, **options) as secured:
        await SmtpServer.parse(f"smtp://user:right@127.0.0.1:{secured.port}").deliver(MESSAGE, **GOAL)
        wrong = SmtpServer.parse(f"smtp://user:wrong@127.0.0.1:{secured.port}")
        assert await refused(wrong) == ("SMTPAuthenticationError_535", False)
        assert told == [("PLAIN", b"user", b"right"), ("PLAIN", b"user", b"wrong")]
        assert len(secured.messages) == 1
