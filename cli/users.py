"""`tiller users`: the vectors of users in a store of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bundle import Bundle

app = typer.Typer(help="Put users' vectors into Redis, and look at them.", no_args_is_help=True, rich_markup_mode=None)

DEFAULT_URL = "redis://127.0.0.1:6379/0"
BATCH = 1_000
"""Vectors per round trip."""

Folder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder: whose users, and the vectors' space.")]
URL = Annotated[
    str,
    typer.Option("--redis-url", metavar="URL", envvar="TILLER_REDIS_URL", help="redis://, rediss:// or unix://."),
]
PREFIX = Annotated[str, typer.Option("--redis-prefix", metavar="WORD", help="As the server's --redis-prefix.")]
SPACE = Annotated[
    str | None, typer.Option("--redis-space", metavar="WORD", help="As the server's --redis-space; default by bundle.")
]


@app.command()
def load(
    bundle: Folder,
    *,
    redis_url: URL = DEFAULT_URL,
    redis_prefix: PREFIX = "tiller:user",
    redis_space: SPACE = None,
    expire_days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0.001, help="Let the vectors vanish after so many days.")
    ] = None,
) -> None:
    """Put the vectors of a bundle's users into Redis, for `tiller serve --users redis`.

    A key is PREFIX:SPACE:USER_ID, a value the vector as little-endian float32. SPACE belongs to the bundle's item
    vectors: load the users of a new training beside the old ones, swap the bundle, and let the old ones expire.

    Example: tiller users load bundles/demo --redis-url redis://127.0.0.1:6379/0
    """
    from rich.progress import track

    from bundle import load_bundle
    from cli.console import make_console
    from cli.refuse import UsageRefused
    from server.users.layout import encode, key, space_of

    loaded = load_bundle(bundle)
    ids, vectors = _users(loaded)
    space = redis_space or space_of(loaded.manifest)
    seconds = None if expire_days is None else max(1, round(expire_days * 86_400))
    client, failure = _client(redis_url)
    console = make_console()
    try:
        for start in track(
            range(0, len(ids), BATCH), "users", console=console, transient=True, disable=not console.is_terminal
        ):
            pipe = client.pipeline(transaction=False)
            for place in range(start, min(start + BATCH, len(ids))):
                pipe.set(key(redis_prefix, space, ids[place]), encode(vectors[place]), ex=seconds)
            pipe.execute()
    except failure as error:
        raise UsageRefused("Redis does not take the users", found=str(error), hint="Is --redis-url right?") from error
    typer.echo(f"{len(ids):,} users of {vectors.shape[1]} numbers under {key(redis_prefix, space, '')}*")


@app.command()
def show(
    bundle: Folder,
    user: Annotated[str, typer.Argument(metavar="USER", help="A user's id.")],
    *,
    redis_url: URL = DEFAULT_URL,
    redis_prefix: PREFIX = "tiller:user",
    redis_space: SPACE = None,
) -> None:
    """What Redis has for a user of a bundle, beside what the bundle has. Exit code 1 where that is no vector.

    Example: tiller users show bundles/demo u1
    """
    import numpy as np

    from bundle import load_bundle
    from cli.refuse import UsageRefused
    from server.users.layout import decode, key, space_of

    loaded = load_bundle(bundle, verify=False)
    name = key(redis_prefix, redis_space or space_of(loaded.manifest), user)
    client, failure = _client(redis_url)
    try:
        value = client.get(name)
    except failure as error:
        raise UsageRefused("Redis does not answer", found=str(error), hint="Is --redis-url right?") from error
    contents = loaded.contents
    found = "no such key" if value is None else decode(value, loaded.manifest.dims.embedding)
    typer.echo(f"key     {name}")
    if isinstance(found, str):
        typer.echo(f"value   {found}")
    else:
        typer.echo(f"value   {len(found)} numbers, norm {float(np.linalg.norm(found)):.4g}")
    if user in (contents.user_ids or ()) and contents.user_vectors is not None and contents.user_ids is not None:
        own = np.asarray(contents.user_vectors[contents.user_ids.index(user)], np.float32)
        same = not isinstance(found, str) and bool(np.array_equal(found, own))
        typer.echo(f"bundle  norm {float(np.linalg.norm(own)):.4g}, {'the same' if same else 'another vector'}")
    else:
        typer.echo("bundle  does not store this user")
    if isinstance(found, str):
        raise typer.Exit(1)


def _users(bundle: Bundle) -> tuple[list[str], Any]:
    from cli.refuse import UsageRefused

    contents = bundle.contents
    if contents.user_ids is None or contents.user_vectors is None:
        raise UsageRefused("this bundle stores no users", hint="Train it with --store-users (the default).")
    return contents.user_ids, contents.user_vectors


def _client(url: str) -> tuple[Any, type[Exception]]:
    """A client, and what it raises."""
    from cli.refuse import UsageRefused

    try:
        import redis
    except ModuleNotFoundError as error:
        raise UsageRefused("this needs the redis package", hint="pip install 'tiller[redis]'") from error
    try:
        return redis.Redis.from_url(url, socket_timeout=10), redis.RedisError
    except ValueError as error:
        raise UsageRefused("--redis-url", expected="redis://HOST:PORT/DB, rediss://... or unix:///PATH") from error
