"""`tiller concepts save` and `delete`: concepts of one's own, kept in a running server's policy folder."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.admin_server import ADMIN, DEFAULT_ADMIN, asking


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(save)
    app.command()(delete)


def save(
    concept: Annotated[str, typer.Argument(metavar="ID", help="custom: and a name, as custom:cosy-crime.")],
    what: Annotated[str, typer.Argument(help="What it is made of, as a rule names it.")],
    admin: ADMIN = DEFAULT_ADMIN,
    name: Annotated[str, typer.Option(help="How answers and reports call it.")] = "",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Save a concept of one's own, usable wherever a concept is, without building the bundle again.

    WHAT is a concept or a weighted set of them ("genre:mystery + 0.5 genre:comedy"), items as examples ("like ID, ID;
    unlike ID"), or items ("items ID, ID"). It is written into the policy folder's concepts.yaml, in the place of what
    has the id, and is in force at once.

    Example: tiller concepts save custom:cosy-crime "genre:mystery + 0.5 genre:comedy" --admin 127.0.0.1:50052
    """
    from cli.refuse import UsageRefused
    from cli.rules import about
    from client import Rule

    rule = about(Rule("promote"), what)
    if rule.toward:
        raise UsageRefused(what, found="toward", expected="items", hint="A rule moves items, a concept does not.")
    concepts = rule.concepts if rule.composed else {rule.concept: 1.0}
    with asking(admin) as asked:
        answer = asked.save_concept(
            concept, concepts=concepts, like=rule.like, unlike=rule.unlike, items=rule.items, display_name=name,
            description=description,
        )  # fmt: skip
    done = "replaced" if answer.replaced else "saved"
    typer.echo(f"{concept}: {done}, {answer.concept.items:,} items; policies {answer.policy_revision}")


def delete(
    concept: Annotated[str, typer.Argument(metavar="ID", help="custom:NAME.")],
    admin: ADMIN = DEFAULT_ADMIN,
) -> None:
    """Take a concept of one's own out of a running server's concepts.yaml. Refused while a policy names it.

    Example: tiller concepts delete custom:cosy-crime --admin 127.0.0.1:50052
    """
    with asking(admin) as asked:
        answer = asked.delete_concept(concept)
    typer.echo(f"{concept}: deleted; policies {answer.policy_revision}")
