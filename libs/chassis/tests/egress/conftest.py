"""A canary that nothing may reach, receivers that do as they are told, and a DNS server of the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from chassis.clock import utcnow
from chassis.egress.resolving import DnsResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testkit.servers import free_port

HOST = "127.0.0.1"
NAME = "hooks.example.com"


@dataclass
class Canary:
    """Counts what comes, on every loopback address there is, and answers 200."""

    port: int
    connections: int = 0
    received: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.received += await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    found = Canary(free_port())
    server = await asyncio.start_server(found.serve, None, found.port)
    yield found
    server.close()


@dataclass
class Names(asyncio.DatagramProtocol):
    """A DNS server; it knows nothing of a name without records."""

    records: dict[str, Sequence[str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = str(question.name).rstrip(".").lower()
        self.asked.append(name)
        if name in self.silent:
            return
        self._transport.sendto(self._answer(query, name).to_wire(), address)  # type: ignore[attr-defined]

    def _answer(self, query: dns.message.Message, name: str) -> dns.message.Message:
        kind = query.question[0].rdtype
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        owner = name
        if name in self.aliases:
            owner = self.aliases[name]
            answer.answer.append(dns.rrset.from_text(f"{name}.", 0, "IN", "CNAME", f"{owner}."))
        wanted = [one for one in self.records.get(owner, ()) if (":" in one) == (kind == dns.rdatatype.AAAA)]
        if wanted:
            answer.answer.append(dns.rrset.from_text(f"{owner}.", 0, "IN", kind, *wanted))
        return answer


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    loop = asyncio.get_running_loop()
    port = free_port()
    transport, found = await loop.create_datagram_endpoint(lambda: Names(port=port), local_addr=(HOST, port))
    yield found
    transport.close()


@pytest.fixture
async def resolver(names: Names) -> AsyncIterator[DnsResolver]:
    found = DnsResolver(nameservers=[HOST], udp_port=names.port, tcp_port=names.port, timeout=0.5, tries=1)
    yield found
    await found.close()


@dataclass
class Certificates:
    """A server that is called hooks.example.com, and a client that believes that it is."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    names: list[str | None] = field(default_factory=list)
    """What clients have asked for (SNI)."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    path = _certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    found = Certificates(server, ssl.create_default_context(cafile=str(path)))
    server.sni_callback = lambda _, name, __: found.names.append(name)
    return found


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = utcnow()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = folder / "certificate.pem"
    path.write_bytes(text)
    return path
