"""Sums over scrapes, worked out by hand, and the same as a Prometheus would make."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from math import isnan
from threading import Thread

import pytest

from cli.scrape import Away, Scrape, added, fetch, read, window

TEXT = """
# TYPE process_start_time_seconds gauge
process_start_time_seconds {start}
# TYPE calls_total counter
calls_total{{code="OK"}} {ok}
calls_total{{code="INTERNAL"}} {failed}
# TYPE took histogram
took_bucket{{le="0.1"}} {a}
took_bucket{{le="0.2"}} {b}
took_bucket{{le="+Inf"}} {c}
took_count {c}
took_sum {s}
"""


def scrape(at: float, **numbers: float) -> Scrape:
    given = {"start": 0.0, "ok": 0, "failed": 0, "a": 0, "b": 0, "c": 0, "s": 0.0, **numbers}
    return Scrape(at, read(TEXT.format(**given)).samples)


def test_rates_are_differences_by_the_seconds_between() -> None:
    seen = window(scrape(10, ok=100, failed=1), scrape(12, ok=140, failed=2))
    assert seen.rate("calls_total") == 20.5
    assert seen.by("calls_total", "code") == {"OK": 40, "INTERNAL": 1}
    assert seen.count("calls_total", code="OK") == 40
    assert seen.count("calls_total", code="UNKNOWN") == 0


def test_one_scrape_stands_for_all_since_the_start() -> None:
    assert window(None, scrape(110, ok=50, start=10.0)).rate("calls_total") == 0.5


def test_a_server_that_began_anew_counts_from_zero() -> None:
    assert window(scrape(10, ok=100), scrape(12, ok=4)).count("calls_total") == 4


def test_quantiles_are_those_of_prometheus() -> None:
    seen = window(scrape(0), scrape(1, a=50, b=100, c=100, s=12.0))
    assert seen.quantile(0.5, "took") == pytest.approx(0.1)
    assert seen.quantile(0.75, "took") == pytest.approx(0.15)
    assert seen.quantile(0.25, "took") == pytest.approx(0.05)
    assert seen.mean("took") == pytest.approx(0.12)
    beyond = window(scrape(0), scrape(1, a=0, b=10, c=100))
    assert beyond.quantile(0.99, "took") == pytest.approx(0.2)  # what is beyond the last bound is not known better
    nothing = window(scrape(0, c=5), scrape(1, c=5))
    assert isnan(nothing.quantile(0.5, "took"))
    assert isnan(nothing.mean("took"))


def test_several_servers_add_up() -> None:
    both = added([scrape(5, ok=3), scrape(6, ok=4)])
    assert both.at == 6
    assert both.one("calls_total", code="OK") == 7


@pytest.mark.parametrize(
    ("body", "told"), [(b"x 1\n", "no Tiller server"), (b"<html lang=en>\n", "has no metrics"), (None, "HTTP 404")]
)
def test_who_is_no_tiller_server_is_away(body: bytes | None, told: str) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as page:
        thread = Thread(target=page.handle_request)
        thread.start()
        with pytest.raises(Away, match=told):
            fetch(f"127.0.0.1:{page.server_port}")
        thread.join()


def test_nobody_listens() -> None:
    with pytest.raises(Away, match="refused"):
        fetch("127.0.0.1:1")
