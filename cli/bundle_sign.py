"""`tiller bundle keygen` and `tiller bundle sign`: bundles that a server can trace to whoever made them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def keygen(
    out: Annotated[Path, typer.Option(metavar="FILE", help="File of the private key; FILE.pub gets the public one.")],
) -> None:
    """A pair of keys for signing bundles (Ed25519). The private one stays where bundles are made.

    Example: tiller bundle keygen --out tiller-signing.pem
    """
    from bundle.signature import new_key
    from cli.refuse import UsageRefused

    public_file = out.with_name(f"{out.name}.pub")
    private, public = new_key()
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(private)
        public_file.write_bytes(public)
    except FileExistsError as error:
        raise UsageRefused(f"{out} is there already", hint="A key is never written over: name another file.") from error
    except OSError as error:
        raise UsageRefused(f"cannot write {error.filename}", found=error.strerror) from error
    typer.echo(f"{out}: the private key; keep it where bundles are made, readable by nobody else")
    typer.echo(f"{public_file}: the public one, for: tiller serve --bundle-public-key {public_file}")


def sign(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Bundle folder.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The private key, of tiller bundle keygen.")],
) -> None:
    """Prove a bundle whole, then sign it: manifest.sig, over the manifest that has every file's checksum.

    Example: tiller bundle sign bundles/demo --key tiller-signing.pem
    """
    from bundle import read_manifest
    from bundle.reader import verify_files
    from bundle.signature import sign_bundle

    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    typer.echo(f"{sign_bundle(folder, key)}: bundle {manifest.bundle_id} is signed")
