"""Writes docs/configuration.md: every setting of the server, from the code that reads them.

    python -m deploy.configuration > docs/configuration.md

A test holds the page equal to what this prints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from server.settings import Settings

SECTIONS: dict[str, tuple[str, ...]] = {
    "What is served": (
        "bundle", "bundle_poll_seconds", "bundles_root", "accept_losses", "bundle_public_key", "policies",
        "policy_poll_seconds",
    ),
    "Where it listens": (
        "host", "port", "reuse_port", "workers", "metrics_host", "metrics_port", "metrics_tls", "admin_host",
        "admin_port", "port_file",
    ),
    "Who may call": ("tls_cert", "tls_key", "tls_client_ca", "tokens", "insecure_admin"),
    "How much at once": (
        "max_in_flight", "max_wait_ms", "max_connections", "max_concurrent_streams", "max_connection_age_seconds",
        "max_message_bytes", "max_metadata_bytes",
    ),
    "Bounds of one request": (
        "max_k", "max_rules", "max_exclude", "max_history", "max_attributes", "max_batch", "max_displacement",
        "allow_ignore_policies",
    ),
    "Users by id": (
        "users", "users_fallback", "redis_url", "redis_prefix", "redis_space", "redis_timeout_seconds",
        "breaker_failures", "breaker_seconds",
    ),
    "What is told": (
        "log_level", "decision_log", "decision_sample", "decision_log_mib", "share_sample", "drift_sample",
        "trace_endpoint", "trace_sample",
    ),
    "How it leaves": ("drain_delay_seconds", "drain_seconds"),
    "The command itself": ("config", "check"),
}  # fmt: skip

KINDS = {Path: "path", str: "text", SecretStr: "text", int: "number", float: "number", bool: "switch"}

HEAD = """# Configuration

A setting is a flag (`--max-k 200`), an environment variable (`TILLER_MAX_K=200`) or a line of one file (`max-k: 200`):

```console
tiller serve --config tiller.yaml --port 50061
tiller serve --config tiller.yaml --check
```

```yaml
# tiller.yaml: what the flags are called, without the dashes
bundle: bundles/demo
policies: examples/policies
host: 0.0.0.0
tls-cert: /etc/tiller/tls.crt
tls-key: /etc/tiller/tls.key
tokens: /etc/tiller/tokens.yaml
max-k: 200
```

- A flag wins over a variable, a variable over the file, the file over the default.
- Everything is validated at the start and every fault is told at once: with the flag, the variable or the file's line,
  what was found and what was expected. An unknown name is refused in all three, with the nearest one: a setting that
  is ignored is a policy folder that nobody loads. An empty variable is not set.
- `--check` reads all of it as a start would (the bundle with its checksums, policies, certificates, tokens), tries
  the ports, prints what would be served, where and to whom, and exits with 0, or with 2 and every fault. It serves
  nothing.
- The file is YAML, read by a parser that makes plain values only. Paths are relative to the working directory.
- Kubernetes makes `TILLER_PORT` for a Service that is called `tiller`: set `enableServiceLinks: false`.
- Certificates, tokens, policies and the bundle are read again while the server runs; settings are not.

This page is written by `python -m deploy.configuration`; a test holds it equal to the code.
"""

TABLE = """| flag | variable | value | default | meaning |
| --- | --- | --- | --- | --- |
"""

TOKENS = """
The file of `--tokens` has hashes, never a token; `tiller token new` makes both ([security](security.md#tokens)):

```yaml
tokens:
  - name: home-page
    sha256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    scopes: [recommend]
    expires: 2027-01-01T00:00:00Z
```
"""


def page() -> str:
    """The whole page.

    Raises:
        LookupError: a setting is in no section, or a section has one that does not exist.
    """
    placed = [name for names in SECTIONS.values() for name in names]
    if wrong := set(placed).symmetric_difference(Settings.model_fields):
        raise LookupError(f"deploy/configuration.py: SECTIONS and Settings differ in {sorted(wrong)}")
    parts = [HEAD]
    for section, names in SECTIONS.items():
        parts.append(
            f"\n## {section}\n\n| flag | variable | value | default | meaning |\n| --- | --- | --- | --- | --- |\n"
        )
        parts += [_row(name, Settings.model_fields[name]) for name in names]
        if "tokens" in names:
            parts.append(TOKENS)
    return "".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    flag = f"`--{name.replace('_', '-')}`"
    meaning = (field.description or "").replace("|", r"\|")
    return f"| {flag} | `TILLER_{name.upper()}` | {_value(field)} | {_default(field)} | {meaning} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return ""
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _value(field: FieldInfo) -> str:
    """What it takes, with its bounds."""
    kinds = [kind for kind in _flat(field.annotation) if kind is not type(None)]
    words = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            words += [f"`{choice}`" for choice in get_args(kind)]
        else:
            words.append(KINDS[kind])
    bounds = [
        f"{sign} {getattr(one, key):,}"
        for one in field.metadata
        for kind, key, sign in ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
        if isinstance(one, kind)
    ]
    return " or ".join(words) + (f", {' and '.join(bounds)}" if bounds else "")


def _flat(annotation: Any) -> list[Any]:
    """The members of a union, without their annotations."""
    if hasattr(annotation, "__metadata__"):
        return _flat(annotation.__origin__)
    if get_origin(annotation) is Literal or not get_args(annotation):
        return [annotation]
    return [kind for member in get_args(annotation) for kind in _flat(member)]


if __name__ == "__main__":
    sys.stdout.write(page())
