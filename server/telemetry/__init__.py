"""Counts and times for Prometheus, on a port of their own. The only package that knows prometheus_client.

The core returns facts (server.types.Answer); this turns them into metrics of low cardinality. ``calls``: how many, how
long, how they ended. ``outcome``: what steering did to the lists. ``served``: which bundle and policies answer.
``drift``: how far the users of today are from those of the training. ``http``: the port. ``workers``: one page for
several processes. docs/monitoring.md explains every name and label, and a test holds the two equal.
"""

from prometheus_client import CollectorRegistry as Registry

from server.telemetry.calls import STAGES
from server.telemetry.http import MetricsServer
from server.telemetry.telemetry import Telemetry

__all__ = ["STAGES", "MetricsServer", "Registry", "Telemetry"]
