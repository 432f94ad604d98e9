"""`tiller recommend`: one user's list beside the steered one, from a running server."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.request_options import ATTRIBUTE, CHANNEL, DEFAULT_SERVER, DEMOTE, FILTER, HISTORY, PROMOTE, SERVER, USER, K


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(recommend)


def recommend(
    *,
    user: USER = None,
    history: HISTORY = None,
    server: SERVER = DEFAULT_SERVER,
    promote: PROMOTE = None,
    demote: DEMOTE = None,
    filter_: FILTER = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ITEM_ID", help="Never return this item; may be repeated.")
    ] = None,
    exclude_history: Annotated[bool, typer.Option(help="Never return an item of --history.")] = False,
    k: K = 10,
    channel: CHANNEL = "item",
    attribute: ATTRIBUTE = None,
    base_order: Annotated[bool, typer.Option(help="Order the chosen items as the recommender alone would.")] = False,
    ignore_policies: Annotated[bool, typer.Option(help="Leave the server's policies out.")] = False,
    explain: Annotated[bool, typer.Option(help="Add base score, contributions and concepts of every item.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")] = False,
) -> None:
    """One user's list, unsteered and steered side by side: what moved, and each concept's share before and after.

    Rules may be repeated and mixed; each concept once. WHAT is a concept (genre:horror, custom:cosy, latent:113), a
    weighted set of them ("genre:horror + 0.5 genre:thriller"), items as examples ("like ID, ID; unlike ID"; "unlike ID"
    alone), or items themselves ("items ID, ID"), which "items ID toward genre:metal" moves toward that audience.

    Example: tiller recommend --user u00007 --promote genre:western=0.8 --filter genre:horror

    Example: tiller recommend --user u00007 --promote "like i17, i204; unlike i4=0.6"
    """
    from cli import rules as typed
    from cli.answer import Asker
    from client import TillerClient

    asker = Asker.of(user, history, exclude=exclude or (), exclude_history=exclude_history)
    rules = typed.parse_rules(promote, demote, filter_, channel)
    attributes = dict(typed.parse_attribute(text) for text in attribute or ())
    with TillerClient(server) as client:
        answer = client.recommend(
            **asker.arguments, k=k, rules=rules, attributes=attributes, ignore_policies=ignore_policies, explain=True,
            baseline=True, order="base" if base_order else None,
        )  # fmt: skip
        if as_json:
            typer.echo(json.dumps(asdict(answer), ensure_ascii=False, indent=1))
            return
        from cli.answer import compare, print_answer
        from cli.console import make_console

        compared = compare(client, answer, asker, k)
    print_answer(compared, asker, make_console(), explain=explain)
