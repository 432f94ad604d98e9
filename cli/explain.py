"""`tiller explain`: why each item of one list has its score, as bars."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.recommend import DEFAULT_SERVER


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    *,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="A user of the bundle.")] = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="ID,ID,...", help="Instead: items somebody touched, newest last (user tower only)."),
    ] = None,
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="A running server.")] = DEFAULT_SERVER,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead: a bundle on disk, without any server.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --bundle: a folder of policy files to hold to.")
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(metavar="ITEM_ID", help="Only this item of the list; may be repeated.")
    ] = None,
    promote: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT[=STRENGTH|=share:PART]", help="Raise it, 0 to 1 (unset: 0.5), or to a share."),
    ] = None,
    demote: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT[=STRENGTH|=share:PART]", help="Lower it, 0 to 1 (unset: 0.5), or to a share."),
    ] = None,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="WHAT[=label|activation|either]", help="Return no member of it."),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the list.")] = 10,
    channel: Annotated[str, typer.Option(help="Where soft rules act: item or query.")] = "item",
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What policies are matched against: surface=kids.")
    ] = None,
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
    where = typed.parse_channel(channel)
    if policies is not None and bundle is None:
        raise UsageRefused("--policies", found="without --bundle", hint="A running server has policies of its own.")
    asked = of_server(server) if bundle is None else of_bundle(bundle, policies)
    rules = [
        *(typed.parse_soft("promote", text, where) for text in promote or ()),
        *(typed.parse_soft("demote", text, where) for text in demote or ()),
        *(typed.parse_filter(text) for text in filter_ or ()),
    ]
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
