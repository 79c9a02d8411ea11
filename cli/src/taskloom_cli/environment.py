"""What each process is told: the settings of the embedded default, overridden by the caller's environment."""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder, identity_keys, secret
from taskloom_cli.ports import HOST

SERVICES = ("auth", "tasks", "notifications", "attachments")
APIS = (*SERVICES, "gateway")
PROCESSES = (*APIS, *(f"{service}-background" for service in SERVICES), "mail")
EVERYWHERE = "0.0.0.0"  # noqa: S104 - on request only
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PREFIXES = ("AUTH_", "TASKS_", "NOTIFICATIONS_", "ATTACHMENTS_", "GATEWAY_")


@dataclass(frozen=True)
class Ports:
    """Where everything listens; `admin` by process, `api` by service."""

    gateway: int
    postgres: int
    valkey: int
    smtp: int
    mail: int
    api: Mapping[str, int]
    admin: Mapping[str, int]


@dataclass(frozen=True)
class Passwords:
    """Passwords of the embedded servers."""

    superuser: str
    roles: Mapping[str, str]
    valkey: str


def read_passwords(folder: DataFolder) -> Passwords:
    """Return the passwords, made on first use; the roles' are derived from one secret."""
    root = secret(folder, "database-password")
    roles = {service: _derived(root, service) for service in SERVICES}
    return Passwords(_derived(root, "superuser"), roles, secret(folder, "valkey-password"))


def is_given(name: str) -> bool:
    """Tell whether the caller's environment has a setting, as a value or as the path of a file with it."""
    return name in os.environ or f"{name}_FILE" in os.environ


def forget_database_client() -> None:
    """Drop PGSSLMODE and its like: they are for servers of the caller's, and every driver would follow them to ours."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def process_environments(
    folder: DataFolder, ports: Ports, passwords: Passwords, *, local_ports: Sequence[int] = ()
) -> dict[str, dict[str, str]]:
    """Return the environment of every process. URLs of users may lead to `local_ports` here. Raises Complaint."""
    shared = {**_shared(folder, ports, passwords), **_egress(local_ports)}
    environments: dict[str, dict[str, str]] = {}
    for process in PROCESSES:
        service = process.removesuffix("-background")
        defaults = dict(shared)
        if service in SERVICES:
            url = f"postgresql://{service}:{passwords.roles[service]}@{HOST}:{ports.postgres}/taskloom"
            defaults["DATABASE_URL"] = url
        kept = {name: value for name, value in defaults.items() if not is_given(name)}
        environments[process] = _of_service(service, {**os.environ, **kept, **_listening(process, ports)})
    return environments


def _egress(local_ports: Sequence[int]) -> dict[str, str]:
    """Return what lets webhooks and chats reach ports of this machine: by itself nothing, since databases are here."""
    if not local_ports:
        return {}
    return {
        "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "EGRESS_ALLOWED_PORTS": ",".join(["443", *map(str, local_ports)]),
        "EGRESS_ALLOW_HTTP": "true",
    }


def _listening(process: str, ports: Ports) -> dict[str, str]:
    """Return where a process listens, which is for us to choose; the gateway alone may serve other machines."""
    fixed = {"HOST": HOST, "PORT": str(_port(process, ports)), "ADMIN_PORT": str(ports.admin[process])}
    if process == "mail":
        fixed["SMTP_PORT"] = str(ports.smtp)
    if process == "gateway":
        fixed["HOST"] = os.environ.get("HOST", HOST)
        if fixed["HOST"] not in {HOST, EVERYWHERE}:
            raise Complaint(
                f"HOST: everything listens on {HOST}, or the gateway on {EVERYWHERE} for other machines; not elsewhere."
            )
    return fixed


def _shared(folder: DataFolder, ports: Ports, passwords: Passwords) -> dict[str, str]:
    private, public = identity_keys(folder)
    encryption = secret(folder, "encryption-key")
    redis = f"redis://:{passwords.valkey}@{HOST}:{ports.valkey}"
    urls = {f"GATEWAY_{service.upper()}_URL": f"http://{HOST}:{ports.api[service]}" for service in SERVICES}
    return {
        **urls,
        "ENVIRONMENT": "development",
        "REDIS_URL": f"{redis}/0",
        "BROKER_URL": f"{redis}/1",
        "STORAGE_URL": folder.files.as_uri(),
        "SMTP_URL": f"smtp://{HOST}:{ports.smtp}",
        "PUBLIC_BASE_URL": f"http://{HOST}:{ports.gateway}",
        "CURSOR_SECRET": secret(folder, "cursor-secret"),
        "AUTH_ENCRYPTION_KEYS": _ring(encryption),
        "MAIL_SEALING_KEYS": _ring(f"{encryption}:mail"),
        "NOTIFICATIONS_SEALING_KEYS": _ring(f"{encryption}:notifications"),
        "NOTIFICATIONS_VAPID_KEY": _scalar(f"{encryption}:push"),
        "NOTIFICATIONS_DRIVERS": "recording",
        "IDENTITY_SIGNING_KEY": private,
        "IDENTITY_VERIFY_KEY": public,
        "AUTH_TASKS_URL": f"http://{HOST}:{ports.api['tasks']}",
        "NOTIFICATIONS_TASKS_URL": f"http://{HOST}:{ports.api['tasks']}",
        "ATTACHMENTS_TASKS_URL": f"http://{HOST}:{ports.api['tasks']}",
        "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE": "600",
        "GATEWAY_LOGIN_LIMIT_PER_MINUTE": "300",
    }


def _ring(text: str) -> str:
    key = hashlib.sha256(text.encode()).digest()
    return f"k1:{base64.b64encode(key).decode()}"


def _scalar(text: str) -> str:
    """Return a private key of P-256, whose order is a little less than 32 bytes can hold."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % (P256_ORDER - 1) + 1
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode()


def _of_service(service: str, environment: dict[str, str]) -> dict[str, str]:
    """Leave out what belongs to other services: private keys, and prefixes that they would refuse."""
    own = f"{service.upper()}_"
    foreign = tuple(prefix for prefix in PREFIXES if prefix != own)
    kept = {name: value for name, value in environment.items() if not name.startswith(foreign)}
    if service == "gateway" and "AUTH_ACCESS_TOKEN_TTL" in environment:
        kept["AUTH_ACCESS_TOKEN_TTL"] = environment["AUTH_ACCESS_TOKEN_TTL"]
    if service != "gateway":
        kept.pop("IDENTITY_SIGNING_KEY", None)
    if service not in {"auth", "tasks", "notifications"}:
        kept.pop("MAIL_SEALING_KEYS", None)
    return kept


def _port(process: str, ports: Ports) -> int:
    if process == "gateway":
        return ports.gateway
    return ports.mail if process == "mail" else ports.api.get(process, 0)


def _derived(root: str, name: str) -> str:
    return hashlib.sha256(f"{root}:{name}".encode()).hexdigest()[:40]
