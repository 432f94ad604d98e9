"""Settings that are each right and together are not."""

from __future__ import annotations

import ipaddress

from server.settings import Settings


def beyond_loopback(host: str) -> bool:
    """Whether others than this machine may reach it."""
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: who knows where it leads
        return True


def contradictions(settings: Settings) -> list[str]:
    """Why a server must not start with these settings; one sentence each."""
    faults = []
    cert, key = settings.tls_cert, settings.tls_key
    if (cert is None) != (key is None):
        missing, given = ("--tls-key", "--tls-cert") if cert else ("--tls-cert", "--tls-key")
        faults.append(f"{missing}: not given, expected: beside {given}")
    if cert is None:
        wanted = {"--tls-client-ca": settings.tls_client_ca is not None, "--metrics-tls": settings.metrics_tls}
        faults += [f"{flag}: given without --tls-cert" for flag, given in wanted.items() if given]
    lacking = [flag for flag, value in (("--tls-cert", cert), ("--tokens", settings.tokens)) if value is None]
    exposed = settings.admin_port is not None and beyond_loopback(settings.admin_host)
    if exposed and lacking and not settings.insecure_admin:
        faults.append(
            f"--admin-host: found {settings.admin_host!r} without {' and '.join(lacking)}, expected: 127.0.0.1. Who "
            "reaches the admin service changes what everybody sees; --insecure-admin allows it all the same"
        )
    if settings.workers != 1 and settings.bundles_root is not None:
        faults.append(
            "--bundles-root: given with --workers, expected: one of them. A bundle that the admin service names would "
            "be one worker's alone; let --bundle name a link, which every worker follows"
        )
    return faults


def warnings(settings: Settings) -> list[str]:
    """What is allowed and deserves a line in the log."""
    open_hosts = [settings.host] + ([] if settings.admin_port is None else [settings.admin_host])
    found = []
    if settings.tokens is not None and settings.tls_cert is None and any(map(beyond_loopback, open_hosts)):
        found.append("tokens travel in plain text beyond loopback: give --tls-cert and --tls-key")
    if settings.tokens is None and settings.tls_client_ca is None and beyond_loopback(settings.host):
        found.append(f"anybody who reaches {settings.host} may call: give --tokens, or --tls-client-ca")
    return found
