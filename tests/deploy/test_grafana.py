"""The dashboard and its provisioning: fresh, asking for what the server exports, mounted where it is looked for."""

from __future__ import annotations

import importlib.util

from tests.deploy.reader import (
    DEPLOY,
    alerts,
    bind_mounts,
    dashboard,
    exported,
    family,
    labels_in,
    load,
    metrics_in,
    queries,
    services,
)

# Facts about what is loaded, for queries by hand; a panel would be a flat line.
NOT_SHOWN = {
    "tiller_bundle_items", "tiller_bundle_concepts", "tiller_policies_loaded_timestamp_seconds",
}  # fmt: skip


def test_the_dashboard_is_what_the_code_writes() -> None:
    spec = importlib.util.spec_from_file_location("tiller_dashboard", DEPLOY / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert dashboard() == module.dashboard(), "stale: run `python deploy/grafana/dashboard.py`"


def test_every_query_meets_metrics_and_their_labels() -> None:
    known = exported()
    for query in queries():
        names = metrics_in(query)
        assert names, query
        assert names <= set(known), query
        assert labels_in(query) <= {"job", "instance"}.union(*(known[name] for name in names)), query


def test_every_metric_of_tiller_is_shown_or_watched() -> None:
    asked = {
        family(name) for query in (*queries(), *(alert["expr"] for alert in alerts())) for name in metrics_in(query)
    }
    ours = {family(name) for name in exported() if name.startswith("tiller_")}
    assert ours - asked == NOT_SHOWN


def test_legends_use_labels_that_the_query_keeps() -> None:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            legend = set(target["legendFormat"].replace("{{", "\0").split("\0")[1:])
            for label in (part.partition("}}")[0] for part in legend):
                grouped = label in labels_in(target["expr"])
                assert grouped or ("by (" not in target["expr"] and label == "instance"), panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_provisioning_fits_together() -> None:
    (source,) = load(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard()["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    (provider,) = load(DEPLOY / "grafana" / "provisioning" / "dashboards" / "tiller.yml")["providers"]
    grafana = services()["grafana"]
    mounted = [target for source, target, _ in bind_mounts(grafana) if source.endswith("tiller.json")]
    assert mounted == [f"{provider['options']['path']}/tiller.json"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == mounted[0]
