"""What is being served, and how it changes while it is served: one pointer to one immutable Engine.

Everything slow happens beside the event loop, on a thread; what comes of it is put into place in one assignment. A
request holds the engine that it took, so it sees one bundle and one policy revision from start to end (law 9). What is
refused changes nothing.

    policies    the folder (watched), SIGHUP, AdminService.ReloadPolicies ─> read until it rests -> compile ────┐
    bundle      the path (watched), SIGHUP, AdminService.LoadBundle ─> verify -> open -> compare -> warm ───────┼─> swap
                AdminService.RollbackBundle ─> the previous one, kept warm ─────────────────────────────────────┘
"""

from server.reload.bundles import BundleStatus, Swap
from server.reload.listener import Listener, Trigger
from server.reload.policies import PolicyStatus, Result
from server.reload.served import Served
from server.reload.watch import watch_bundle, watch_policies

__all__ = [
    "BundleStatus",
    "Listener",
    "PolicyStatus",
    "Result",
    "Served",
    "Swap",
    "Trigger",
    "watch_bundle",
    "watch_policies",
]
