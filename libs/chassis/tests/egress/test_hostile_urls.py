# ruff: noqa: RUF001 - other digits and letters than ours are what some of these are about
"""R62: no spelling of an address, no answer of DNS and no redirect leads a request to where it may not go."""

from ipaddress import ip_address, ip_network

import pytest
from chassis.egress.client import Blocked, Egress, Unanswered
from chassis.egress.resolving import DnsResolver
from chassis.egress.rules import EgressRules, UrlNotAllowed

SPELLINGS = (
    # loopback, in every base and length that some program takes for an address
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "hTTp://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.00.0.1:{port}/",
    "http://0127.0.0.1:{port}/",
    "http://127.0.0.01:{port}/",
    "http://2130706433:{port}/",
    "http://02130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0X7F000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0x7f.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.0x1:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://127.0x1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.0.0.1..:{port}/",
    "http://127.0.0.1.0:{port}/",
    "http://127.0.0.256:{port}/",
    "http://4294967297:{port}/",
    "http://127.127.127.127:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0.0.0.1:{port}/",
    "http://00000000:{port}/",
    # in other digits, signs and encodings
    "http://１２７.０.０.１:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127．0．0．1:{port}/",
    "http://127｡0｡0｡1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    "http://loc\u00adalhost:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%2e:{port}/",
    "http://localhost%00.example.com:{port}/",
    "http://127.0.0.1%00:{port}/",
    "http://xn--127-.0.0.1:{port}/",
    # IPv6, and what hides an IPv4 address
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[0000::0001]:{port}/",
    "http://[::]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::7f00:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::FFFF:7F00:1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::80ff:fffe]:{port}/",
    "http://[2600::5efe:127.0.0.1]:{port}/",
    "http://[2600::200:5efe:7f00:1]:{port}/",
    "http://[fe80::5efe:7f00:1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[fd20:ce::254]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://[100::1]:{port}/",
    "http://[2001:db8::1]:{port}/",
    "http://[3fff::1]:{port}/",
    "http://[5f00::1]:{port}/",
    "http://[v1.127.0.0.1]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    "http://[::1].example.com:{port}/",
    # private and special networks, metadata of clouds
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://100.100.100.200:{port}/latest/meta-data/",
    "http://168.63.129.16:{port}/machine",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://169.254.170.2:{port}/v2/credentials",
    "http://2852039166:{port}/latest/meta-data/",
    "http://0xa9.0xfe.0xa9.0xfe:{port}/",
    "http://192.0.0.192:{port}/opc/v1/",
    "http://192.0.2.1:{port}/",
    "http://192.88.99.1:{port}/",
    "http://198.18.0.1:{port}/",
    "http://203.0.113.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://240.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    # names of what is near
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://hooks.localhost:{port}/",
    "http://localhost.localdomain:{port}/",
    "http://ip6-localhost:{port}/",
    "http://postgres:{port}/",
    "http://metadata:{port}/",
    "http://metadata.google.internal:{port}/computeMetadata/v1/",
    "http://instance-data.ec2.internal:{port}/",
    "http://printer.local:{port}/",
    "http://router.lan:{port}/",
    "http://nas.home.arpa:{port}/",
    "http://1.0.0.127.in-addr.arpa:{port}/",
    # what one program reads as a host and another does not
    "http://user@127.0.0.1:{port}/",
    "http://public.example.com@127.0.0.1:{port}/",
    "http://public.example.com:443@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@public.example.com/",
    "http://127.0.0.1:{port}#@public.example.com/",
    "http://public.example.com#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.example.com/",
    "http://public.example.com\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1\t:{port}/",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nX-Injected: 1",
    "http://public.example.com:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "http://127.0.0.1:0{port}/",
    "http://127.0.0.1:{port}:{port}/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://:{port}/",
    "http://",
    "",
    "http://127.0.0.1,public.example.com:{port}/",
    "http://{{127.0.0.1}}:{port}/",
    "http://-127.0.0.1:{port}/",
    # other schemes
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "dict://127.0.0.1:{port}/info",
    "unix:///var/run/docker.sock",
    "data:text/plain,hi",
    "javascript:alert(1)",
    "view-source:http://127.0.0.1:{port}/",
    "http://" + "a" * 3000 + ".example.com:{port}/",
    "http://" + "a." * 130 + "com:{port}/",
)

ANSWERS: dict[str, list[str]] = {
    "private.example.com": ["127.0.0.1"],
    "private6.example.com": ["::1"],
    "ten.example.com": ["10.0.0.1"],
    "metadata.example.com": ["169.254.169.254"],
    "mapped.example.com": ["::ffff:127.0.0.1"],
    "nat64.example.com": ["64:ff9b::7f00:1"],
    "unspecified.example.com": ["0.0.0.0"],  # noqa: S104 - bound to by nobody
    "mixed.example.com": ["93.184.215.14", "127.0.0.1"],
    "mixed-families.example.com": ["93.184.215.14", "::1"],
    "last-of-many.example.com": [*(f"93.184.215.{last}" for last in range(10, 30)), "127.0.0.1"],
}


@pytest.mark.parametrize("url", SPELLINGS)
async def test_r62_no_spelling_of_an_address_is_connected_to(canary, url):
    egress = Egress(EgressRules(ports=(range(443, 444), range(canary.port, canary.port + 1)), http=True))
    url = url.replace("{port}", str(canary.port))
    with pytest.raises(Blocked):
        await egress.fetch("POST", url, body=b"{}")
    with pytest.raises(UrlNotAllowed):
        await egress.check(url)
    assert (canary.connections, canary.received) == (0, b"")


def test_r62_there_are_120_of_them():
    assert len(set(SPELLINGS)) >= 120


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example.com/",
        "http://public.example.com:443/",
        "https://public.example.com:80/",
        "https://public.example.com:22/",
        "https://public.example.com:8443/",
        "https://93.184.215.14:6379/",
    ],
)
def test_r62_https_and_its_port_alone(url):
    with pytest.raises(UrlNotAllowed):
        EgressRules().target(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://public.example.com", "public.example.com", 443, "/"),
        ("HTTPS://Public.Example.com:443/a/b?c=d%20e", "public.example.com", 443, "/a/b?c=d%20e"),
        ("https://xn--bcher-kva.example?q=1", "xn--bcher-kva.example", 443, "/?q=1"),
        ("https://93.184.215.14/hook", "93.184.215.14", 443, "/hook"),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443, "/"),
    ],
)
def test_r62_what_is_public_is_allowed(url, host, port, path):
    found = EgressRules().target(url)
    assert (found.host, found.port, found.path) == (host, port, path)


@pytest.mark.parametrize("name", ANSWERS)
async def test_r62_every_answer_of_dns_counts(canary, names, resolver: DnsResolver, name):
    names.records[name] = ANSWERS[name]
    egress = Egress(EgressRules(ports=(range(canary.port, canary.port + 1),), http=True), resolver=resolver)
    with pytest.raises(Blocked):
        await egress.fetch("POST", f"http://{name}:{canary.port}/", body=b"{}")
    with pytest.raises(UrlNotAllowed):
        await egress.check(f"http://{name}:{canary.port}/")
    assert canary.connections == 0
    assert set(names.asked) == {name}


async def test_r62_an_alias_counts_as_what_it_stands_for(canary, names, resolver: DnsResolver):
    names.aliases["alias.example.com"] = "inner.example.com"
    names.records["inner.example.com"] = ["127.0.0.1"]
    egress = Egress(EgressRules(ports=(range(canary.port, canary.port + 1),), http=True), resolver=resolver)
    with pytest.raises(Blocked):
        await egress.fetch("POST", f"http://alias.example.com:{canary.port}/")
    assert canary.connections == 0


async def test_r62_what_dns_said_first_is_what_is_connected_to(canary):
    """A name that is public when it is looked at and private when it is connected to is asked for once."""
    answers = [["192.0.2.1"], ["127.0.0.1"]]
    asked = []

    async def rebinding(host):
        asked.append(host)
        return [ip_address(one) for one in answers[min(len(asked), 2) - 1]]

    rules = EgressRules(networks=(ip_network("192.0.2.0/24"),), ports=(range(canary.port, canary.port + 1),), http=True)
    egress = Egress(rules, resolver=rebinding, connect_seconds=0.3)
    with pytest.raises(Unanswered):
        await egress.fetch("POST", f"http://rebinding.example.com:{canary.port}/")
    assert (len(asked), canary.connections) == (1, 0)
    with pytest.raises(Blocked):
        await egress.fetch("POST", f"http://rebinding.example.com:{canary.port}/")
    assert (len(asked), canary.connections) == (2, 0)


async def test_r62_names_are_absolute(names, resolver: DnsResolver):
    """The domains of this machine's own network are not tried."""
    with pytest.raises(Unanswered) as refused:
        await Egress(EgressRules(), resolver=resolver).fetch("POST", "https://unknown.example.com/")
    assert refused.value.reason == "dns"
    assert set(names.asked) == {"unknown.example.com"}


async def test_r62_dns_that_is_away_refuses_nobody(names, resolver: DnsResolver):
    names.silent.add("silent.example.com")
    egress = Egress(EgressRules(), resolver=resolver)
    await egress.check("https://silent.example.com/")
    await egress.check("https://unknown.example.com/")
    with pytest.raises(Unanswered) as refused:
        await egress.fetch("POST", "https://silent.example.com/")
    assert refused.value.reason == "dns"
