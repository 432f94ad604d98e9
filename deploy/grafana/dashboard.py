"""The dashboard as code: writes tiller.json beside this file. `python deploy/grafana/dashboard.py`

A panel is a title, what it answers, a unit and its queries; their places follow from their order. tests/deploy
proves that tiller.json is what this writes and that every query asks for metrics the server has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("tiller.json")
JOB = 'job="tiller", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 3


def quantile(q: float, metric: str, by: str, more: str = "") -> str:
    """The q-quantile of a histogram, per label ``by``."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{JOB}{more}}}[$__rate_interval])))"


def rate(metric: str, by: str, more: str = "") -> str:
    """Per second, summed per label ``by``."""
    return f"sum by ({by}) (rate({metric}{{{JOB}{more}}}[$__rate_interval]))"


def total(metric: str, more: str = "") -> str:
    """Per second, of all instances together."""
    return f"sum(rate({metric}{{{JOB}{more}}}[$__rate_interval]))"


def share(when: str, of: str = "concept") -> str:
    """Mean share of a steered concept, or of a policy's concepts, in the lists."""
    parts = (rate(f"tiller_{of}_share_{part}", f"{of}, action", f', when="{when}"') for part in ("sum", "count"))
    return " / ".join(parts)


WORSE = total("tiller_user_error_rank_bucket", ', le="0.5"')
RECOMMEND = ', method="Recommend"'
FAILED = ', code=~"INTERNAL|UNKNOWN"'
OUTSIDE, JUDGED = ', verdict="outside"', ', verdict=~"inside|outside"'

# Title, what it answers, unit, {legend: query}.
PANELS: list[tuple[str, str, str, dict[str, str]]] = [
    ("Requests by code", "Who is answered, and who is refused with what.", "reqps",
     {"{{method}} {{code}}": rate("tiller_requests_total", "method, code")}),
    ("Errors inside the server", "INTERNAL and UNKNOWN are the server's fault. Alert: TillerFailing.", "percentunit",
     {"failed": f"(sum(rate(tiller_requests_total{{{JOB}{FAILED}}}[$__rate_interval])) or vector(0))"
                f" / sum(rate(tiller_requests_total{{{JOB}}}[$__rate_interval]))"}),
    ("In flight", "Calls being answered now. It grows when calls come faster than they are answered.", "short",
     {"{{instance}}": f"tiller_in_flight{{{JOB}}}",
      "shed per second: {{reason}}": rate("tiller_shed_total", "reason")}),
    ("Recommend: latency", "Inside the server, the wait for its turn not counted. Alert: TillerSlow.", "s",
     {"p50": quantile(0.5, "tiller_request_seconds", "", RECOMMEND),
      "p90": quantile(0.9, "tiller_request_seconds", "", RECOMMEND),
      "p99": quantile(0.99, "tiller_request_seconds", "", RECOMMEND)}),
    ("Stages: p50", "Where the time of a usual request goes.", "s",
     {"{{stage}}": quantile(0.5, "tiller_stage_seconds", "stage")}),
    ("Stages: p99", "Where the time of a slow request goes.", "s",
     {"{{stage}}": quantile(0.99, "tiller_stage_seconds", "stage")}),
    ("Rules by action and fate", "What was applied, switched off, overridden, in shadow, or names an unknown concept.",
     "ops", {"{{action}} {{status}} ({{source_kind}})": rate("tiller_rules_total", "action, status, source_kind")}),
    ("Share before and after", "Mean share of each steered concept in the lists, without and with steering.",
     "percentunit",
     {"{{concept}} {{action}}, before": share("before"), "{{concept}} {{action}}, after": share("after")}),
    ("Policies that act", "Part of the answers in which a policy acted, or in shadow mode would have.", "percentunit",
     {"{{policy}} ({{mode}})": rate("tiller_policy_fired_total", "policy, mode")
                               + f" / on () group_left () {total('tiller_policy_evaluations_total')}"}),
    ("Policies: share before and after", "What each policy does to its concepts' share of the lists.", "percentunit",
     {"{{policy}} {{action}}, before": share("before", "policy"),
      "{{policy}} {{action}}, after": share("after", "policy")}),
    ("Overlap with the unsteered list", "How much of what people would have seen is still there; of steered answers.",
     "percentunit",
     {"mean": f"{total('tiller_overlap_sum')} / {total('tiller_overlap_count')}",
      "p10": quantile(0.1, "tiller_overlap", "")}),
    ("Short lists", "Answers for which fewer items passed than were asked for: filters and exclusions left too few.",
     "percentunit",
     {"short": f"sum(rate(tiller_short_lists_total{{{JOB}}}[$__rate_interval])) / sum(rate("
               f"tiller_requests_total{{{JOB}{RECOMMEND}, code=\"OK\"}}[$__rate_interval]))",
      "places filled by a fallback, per second": f"sum(rate(tiller_filled_places_total{{{JOB}}}[$__rate_interval]))"}),
    ("Bundle served", "Who serves what; during a rollout there are two.", "short",
     {"{{name}} {{bundle_id}}": f"sum by (name, bundle_id) (tiller_bundle_info{{{JOB}}})",
      "age in hours: {{instance}}": f"(time() - tiller_bundle_loaded_timestamp_seconds{{{JOB}}}) / 3600",
      "reloads per second: {{result}}": rate("tiller_bundle_reloads_total", "result")}),
    ("Policies", "Loaded policies by mode, and the revision served.", "short",
     {"{{mode}}": f"max by (mode) (tiller_policies{{{JOB}}})",
      "revision {{revision}}": f"sum by (revision) (tiller_policy_info{{{JOB}}})"}),
    ("Policy reloads", "Revisions taken or refused per second; seconds since the folder was last looked at.", "short",
     {"{{result}}": f"sum by (result) (rate(tiller_policy_reloads_total{{{JOB}}}[$__rate_interval]))",
      "refused folder": f"max(tiller_policies_stale{{{JOB}}})",
      "seconds since looked at": f"max(time() - tiller_policies_checked_timestamp_seconds{{{JOB}}})"}),
    ("Incoming users: unlike the training's",
     "Part beyond 99.9 % of the training's users, 0.1 % is usual; and worse than half of them. Alert: TillerDrift.",
     "percentunit",
     {"outside": f"(sum(rate(tiller_user_vectors_total{{{JOB}{OUTSIDE}}}[$__rate_interval])) or vector(0))"
                 f" / {total('tiller_user_vectors_total', JUDGED)}",
      "reconstructed worse than the training's median": f"1 - ({WORSE}) / {total('tiller_user_error_rank_count')}"}),
    ("Incoming users: reconstruction error",
     "Part of a user vector that the SAE does not reconstruct, beside the training's own quantiles.", "percentunit",
     {"p50": quantile(0.5, "tiller_user_error", ""), "p99": quantile(0.99, "tiller_user_error", ""),
      "training p{{quantile}}": f'max by (quantile) (tiller_training_quantile{{{JOB}, figure="error"}})'}),
    ("Incoming users: L0", "Active latents of a user vector, beside the training's own quantiles.", "short",
     {"p50": quantile(0.5, "tiller_user_latents", ""), "p99": quantile(0.99, "tiller_user_latents", ""),
      "training p{{quantile}}": f'max by (quantile) (tiller_training_quantile{{{JOB}, figure="l0"}})'}),
    ("User store", "Users looked up, users it did not give, and its breaker: 0 closed, 1 half-open, 2 open.", "ops",
     {"{{outcome}}": rate("tiller_user_lookups_total", "outcome"),
      "fell back: {{result}}": rate("tiller_user_fallbacks_total", "result"),
      "breaker: {{instance}}": f"tiller_user_store_state{{{JOB}}}"}),
    ("User store: time", "One round trip to the store.", "s",
     {"p50": quantile(0.5, "tiller_user_lookup_seconds", ""),
      "p99": quantile(0.99, "tiller_user_lookup_seconds", "")}),
    ("Decision log", "Answers written down and answers dropped because the disk did not keep up.", "ops",
     {"{{result}}": rate("tiller_decisions_total", "result")}),
    ("Worker processes", "How many serve at each instance, and how often one was started again.", "short",
     {"serving: {{instance}}": f"tiller_workers{{{JOB}}}",
      "restarts per second: {{instance}}": f"rate(tiller_worker_restarts_total{{{JOB}}}[$__rate_interval])"}),
    ("Memory", "Resident memory of each server process.", "bytes",
     {"{{instance}}": f"process_resident_memory_bytes{{{JOB}}}"}),
]  # fmt: skip


def panel(number: int, title: str, answers: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    """One time series panel in its place on the grid."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": answers,
        "datasource": SOURCE,
        "gridPos": {"x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(queries.items())
        ],
    }


def dashboard() -> dict[str, Any]:
    """The whole document, as Grafana provisions it."""
    return {
        "uid": "tiller",
        "title": "Tiller",
        "tags": ["tiller"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{
            "name": "instance", "label": "Instance", "type": "query", "datasource": SOURCE,
            "query": {"query": 'label_values(tiller_bundle_info{job="tiller"}, instance)', "refId": "instance"},
            "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }]},
        "panels": [panel(number, *spec) for number, spec in enumerate(PANELS)],
    }  # fmt: skip


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=2) + "\n")
