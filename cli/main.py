"""Entry point of `tiller`: puts the command groups together and turns every refusal into one sentence.

Exit codes: 0 done; 1 a check that the command makes came out negative; 2 refused (usage, data, bundle, server); 130
interrupted. Nothing but typer is imported here, so `tiller --help` is quick and `tiller serve` never meets torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import bundles, concepts, delegate, demo, explain, policies, recommend, reproduce, tokens, top, users
from cli.bench import command as bench

# Usage errors come from click, which some releases of typer bundle: BadParameter < UsageError < ClickException.
_CLICK_ERROR: type[BaseException] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="tiller",
    help="Steer a frozen recommender while it serves: filter, demote and promote named concepts.",
    epilog="Start with: tiller demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
demo.register(app)
delegate.register(app)
recommend.register(app)
explain.register(app)
top.register(app)
reproduce.register(app)
bench.register(app)
app.add_typer(concepts.app, name="concepts")
app.add_typer(bundles.app, name="bundle")
app.add_typer(policies.app, name="policy")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="token")


@app.callback()
def tiller(
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Token for a server that asks for one (or TILLER_TOKEN).")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="TLS: the authorities behind the server's certificate.")
    ] = None,
    client_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Mutual TLS: our certificate, with --client-key.")
    ] = None,
    client_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    server_name: Annotated[
        str | None, typer.Option(help="What the certificate is made out to, where that is not the host asked.")
    ] = None,
) -> None:
    """Steer a frozen recommender while it serves: filter, demote and promote named concepts."""
    # The client reads them from there, whichever command makes it.
    given = {"TILLER_TOKEN_FILE": token_file, "TILLER_CA": ca, "TILLER_CLIENT_CERT": client_cert,
             "TILLER_CLIENT_KEY": client_key, "TILLER_SERVER_NAME": server_name}  # fmt: skip
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})


def main() -> None:
    """Run `tiller` on the process's arguments and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run `tiller` on ``arguments``; the exit code."""
    try:
        code = app(args=list(arguments), prog_name="tiller", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", 130)
    except BrokenPipeError:
        # `tiller concepts list | head`: the reader has what it wanted. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _say(_sentence(error), 2)


def _sentence(error: Exception) -> str:
    """What a person has to know about ``error``; anything unforeseen is raised again, with its traceback."""
    if isinstance(error, _CLICK_ERROR):
        context = getattr(error, "ctx", None)
        told = " ".join(str(getattr(error, "format_message")()).split())  # noqa: B009 - click's, in either home
        command = context.command_path if context is not None else "tiller"
        return f"{told.rstrip('.')}. See: {command} --help"
    from bundle.errors import TillerError

    if isinstance(error, TillerError):
        return str(error)
    # Whoever raised it has imported the client; others need not.
    if "client.errors" in sys.modules and isinstance(error, sys.modules["client.errors"].TillerRpcError):
        return _rpc_sentence(error)
    if "client.security" in sys.modules and isinstance(error, sys.modules["client.security"].SecurityRefused):
        return str(error)
    raise error


def _rpc_sentence(error: Any) -> str:
    if error.code.name == "UNAVAILABLE":
        address = error.message.partition(": ")[0]
        return f"no server answers at {address}. Start one: tiller serve --bundle DIR"
    return str(error.message)


def _say(sentence: str, code: int) -> int:
    print(f"tiller: {sentence}", file=sys.stderr)
    return code
