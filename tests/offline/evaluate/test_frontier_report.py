"""Units of the steering benchmark, put together; one was killed in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.frontier_bars import bars
from benchmarks.frontier_report import means, read_units, write_report
from benchmarks.steering_table import Unit

pytestmark = pytest.mark.train


def rows(concept: str, kept: float | None) -> list[dict[str, Any]]:
    head = {"concept": concept, "direction": "suppress", "base_share": 0.2, "target": 0.02}
    oracle = head | {"method": "oracle", "reached": True, "dose": None, "share": 0.0, "ndcg_kept": 0.9, "overlap": 1.0}
    item = {"method": "item", "reached": kept is not None, "dose": 2.0 if kept else None, "overlap": 0.8}
    return [oracle, head | item | {"share": 0.02 if kept else 0.1, "ndcg_kept": kept, "off_target": 0.01, "curve": []}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, kept in ((0, 0.8), (1, 0.9)):
        facts = {"dataset": "ml-1m", "recommender": "mf", "seed": seed, "users": 40, "latents": 256,
                 "concepts": ["genre:war", "genre:crime"], "ranking": {"ndcg@10": 0.13}}  # fmt: skip
        (tmp_path / f"ml-1m-mf-{seed}.json").write_text(json.dumps(facts))
        lines = [
            {"concept": "genre:war", "seconds": 2.0, "rows": rows("genre:war", kept), "responses": []},
            {"concept": "genre:crime", "seconds": 1.0, "rows": rows("genre:crime", None), "responses": []},
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"ml-1m-mf-{seed}.jsonl").write_text(text + '{"concept": "genre:dra')
    return tmp_path


def test_means_are_over_concepts_then_over_seeds(folder: Path) -> None:
    units = read_units(folder)
    assert [(unit["seed"], unit["measured"], unit["seconds"]) for unit in units] == [(0, 2, 3.0), (1, 2, 3.0)]
    (item,) = (row for row in means(units) if row["method"] == "item")
    # One of two concepts is reached on both seeds; NDCG kept .8 and .9 there; .1 and .5 of the share are left.
    assert item["seeds"] == 2
    assert item["reached"] == [0.5, 0.0]
    assert item["ndcg_kept"] == pytest.approx([0.85, 0.05])
    assert item["left"] == pytest.approx([0.3, 0.0])
    # Straight lines to .8 and .9 under one to .9.
    assert item["area"] == pytest.approx([0.025, 0.025])
    assert item["coverage"] is None


def test_the_report_is_tables_means_and_a_figure(folder: Path) -> None:
    write_report(folder)
    text = (folder / "frontier.md").read_text()
    assert "### ml-1m, mf: 2/2 concepts, 40 users, seeds 0, 1" in text
    assert "| item channel, as served: max(label, read-out) | 0.50 ± 0.00 | 0.300 ± 0.000 | 0.850 ± 0.050 |" in text
    assert json.loads((folder / "frontier.json").read_text()).keys() == {"ml-1m mf"}
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "frontier.svg").read_text()


def test_a_line_that_a_killed_run_left_is_measured_again(folder: Path) -> None:
    unit = Unit("ml-1m", "mf", 0, folder)
    assert unit.done() == {"genre:war", "genre:crime"}
    assert len(unit.rows.read_text().splitlines()) == 2


def test_codes_alone_stand_beside_the_bars_in_both_orders() -> None:
    def row(**figures: float) -> dict[str, Any]:
        return {key: [value, 0.01] for key, value in figures.items()}

    table = {
        ("oracle", "suppress"): row(reached=1, ndcg_kept=0.978, ndcg_kept_base_order=0.978, overlap=1),
        ("oracle", "promote"): row(reached=1, ndcg_kept=0.914, ndcg_kept_base_order=0.914, overlap=1),
        ("item_audience", "suppress"): row(reached=1, ndcg_kept=0.975, ndcg_kept_base_order=0.981, overlap=0.9496),
        ("item_audience", "promote"): row(reached=1, ndcg_kept=0.87, ndcg_kept_base_order=0.91, overlap=0.886),
    }
    lines = bars(table)
    assert "| suppress: NDCG kept | 0.98 | 0.975 | 0.981 + | 0.978 |" in lines
    # Judged as it is printed: .9496 is .950.
    assert "| suppress: overlap with the hard filter's list | 0.95 | 0.950 + |  | 1.000 |" in lines
    assert "| promote: NDCG kept | 0.92 | 0.870 | 0.910 | 0.914 |" in lines
    assert bars({}) == []
