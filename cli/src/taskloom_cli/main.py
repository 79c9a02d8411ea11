"""The command `taskloom`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Taskloom on one machine.")


@app.callback()
def taskloom() -> None:
    """Taskloom on one machine."""


@app.command()
def up(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8080,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing: use a folder that is deleted.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Delete the data of this folder first.")] = False,
    no_seed: Annotated[bool, typer.Option("--no-seed", help="Begin empty.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when ready.")] = False,
    local_port: Annotated[
        list[int] | None,
        typer.Option(min=1, max=65535, help="Let webhooks and chats lead to this port of this machine; repeatable."),
    ] = None,
) -> None:
    """Start everything: databases, services, gateway. Data stays in .taskloom/ of this folder."""
    from taskloom_cli.up import Options  # noqa: PLC0415 - so that --help does not wait for it
    from taskloom_cli.up import up as start  # noqa: PLC0415 - same

    options = Options(
        ephemeral=ephemeral,
        reset=reset,
        port=port,
        seed=not no_seed,
        as_json=as_json,
        local_ports=tuple(local_port or ()),
    )
    sys.exit(start(options))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def service(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="auth, tasks, notifications or attachments.")],
    *,
    data: Annotated[Path, typer.Option(help="Data folder of the copy that runs.")] = Path(".taskloom/data"),
) -> None:
    """Run a service's own command beside the copy that runs here, such as `auth rotate-keys`; `--help` lists them."""
    from taskloom_cli.commands import run_service_command  # noqa: PLC0415 - so that --help does not wait for it
    from taskloom_cli.complaints import Complaint  # noqa: PLC0415 - same

    try:
        sys.exit(run_service_command(name, context.args, data=data))
    except Complaint as complaint:
        print(complaint, file=sys.stderr)
        sys.exit(2)


@app.command()
def contracts(
    *, check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when files differ.")] = False
) -> None:
    """Write contracts/ (OpenAPI documents, event schemas and examples) from the code."""
    from taskloom_cli.contracts import differing, write  # noqa: PLC0415 - so that --help does not wait for it

    if not check:
        write()
        return
    for path in differing():
        print(f"{path} is not what the code says: run `make contracts`.", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
