"""What is shown when everything is up."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from taskloom_cli.seed import SeededUser


@dataclass(frozen=True)
class Summary:
    """Where everything is."""

    api: str
    docs: str
    mail: str
    metrics: dict[str, str]
    users: list[SeededUser]
    workspace_id: str | None
    curl: str
    pid: int
    data_dir: str
    ready_seconds: float


def curl_line(api: str, users: list[SeededUser]) -> str:
    """Return a line that can be pasted: it makes a task, or without users shows the status."""
    token = next((user.access_token for user in users if user.access_token), None)
    if token is None:
        return f"curl -s {api}/api/v1/status"
    return (
        f"curl -s -X POST {api}/api/v1/tasks -H 'Authorization: Bearer {token}' "
        "-H 'Content-Type: application/json' -d '{\"title\": \"Buy milk\"}'"
    )


def show(summary: Summary, *, as_json: bool) -> None:
    """Print the summary: one JSON object, or lines for people."""
    if as_json:
        print(json.dumps(asdict(summary)), flush=True)
    elif sys.stdout.isatty():
        _show_panel(summary)
    else:
        print("\n".join(_lines(summary)), flush=True)


def _lines(summary: Summary) -> list[str]:
    lines = [
        f"Taskloom is ready ({summary.ready_seconds:.1f} s).",
        f"  API      {summary.api}",
        f"  Docs     {summary.docs}",
        f"  Mail     {summary.mail}",
        f"  Metrics  {summary.metrics['gateway']} (all in {Path(summary.data_dir) / 'run.json'})",
        f"  Data     {summary.data_dir}",
    ]
    for user in summary.users:
        lines += _user_lines(user)
    return [*lines, "Try:", summary.curl, "Ctrl-C stops everything."]


def _user_lines(user: SeededUser) -> list[str]:
    if user.access_token is None:
        return [f"{user.email}: the example's password does not let in any more, or not now."]
    role = ", an administrator" if user.is_admin else ""
    return [f"  {user.email}  password {user.password}{role}  token:", user.access_token]


def _show_panel(summary: Summary) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it, and it takes a while to import
    from rich.panel import Panel  # noqa: PLC0415 - same

    console = Console()
    head, *rest = _lines(summary)
    facts = [line.strip() for line in rest if line.startswith("  ") and "token:" not in line]
    console.print(Panel("\n".join(facts), title=head, expand=False))
    # Tokens and the command stand alone and unwrapped, so that they can be copied.
    print("\n".join(rest[len(facts) :]), flush=True)
