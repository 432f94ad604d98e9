"""`tiller explain`: why each item of one list has its score, as bars."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.request_options import ATTRIBUTE, CHANNEL, DEFAULT_SERVER, DEMOTE, FILTER, HISTORY, PROMOTE, SERVER, USER, K


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    *,
    user: USER = None,
    history: HISTORY = None,
    server: SERVER = DEFAULT_SERVER,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead: a bundle on disk, without any server.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --bundle: a folder of policy files to hold to.")
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(metavar="ITEM_ID", help="Only this item of the list; may be repeated.")
    ] = None,
    promote: PROMOTE = None,
    demote: DEMOTE = None,
    filter_: FILTER = None,
    k: K = 10,
    channel: CHANNEL = "item",
    attribute: ATTRIBUTE = None,
    ignore_policies: Annotated[bool, typer.Option(help="Leave the policies out.")] = False,
    full: Annotated[bool, typer.Option(help="Every concept that an item carries, not the strongest three.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Why each item of a list has its score: base score, what every rule added, base rank, its concepts, as bars.

    The numbers add up as they are printed. From a running server, or from a bundle on disk. WHAT is a concept, a
    set, examples or items, as with tiller recommend.

    Example: tiller explain --user u00007 --promote genre:western=0.8 --demote genre:comedy -k 3
    """
    from cli import rules as typed
    from cli.answer import Asker
    from cli.explaining import of_bundle, of_server
    from cli.refuse import UsageRefused

    asker = Asker.of(user, history)
    if policies is not None and bundle is None:
        raise UsageRefused("--policies", found="without --bundle", hint="A running server has policies of its own.")
    asked = of_server(server) if bundle is None else of_bundle(bundle, policies)
    rules = typed.parse_rules(promote, demote, filter_, channel)
    answer = asked(
        **asker.arguments, k=k, rules=rules, attributes=dict(typed.parse_attribute(text) for text in attribute or ()),
        ignore_policies=ignore_policies, explain=True, baseline=True,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(answer), ensure_ascii=False, indent=1))
        return
    ranked = list(enumerate(answer.items, 1))
    if item:
        there = {entry.item_id for entry in answer.items}
        for missing in [given for given in item if given not in there]:
            raise UsageRefused(
                f"--item {missing}", found=f"not among the {len(there)} items of this list", hint="Look deeper: --k."
            )
        ranked = [(rank, entry) for rank, entry in ranked if entry.item_id in item]
    from cli.console import make_console
    from cli.explain_picture import print_explained

    print_explained(answer, asker, make_console(), items=ranked, full=full)
