"""Tables (Markdown) and the figure of a serving benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

ECHO, FAISS = "echo", "bare FAISS"


def allowed(echo: float, faiss: float) -> float:
    """Calls per second that echo and the bare index together allow on one thread: ``1 / (1/echo + 1/faiss)``."""
    return 1 / (1 / echo + 1 / faiss)


def ratios(closed: dict[str, Sequence[float]], case: str) -> tuple[float, float, float]:
    """Median over the rounds of: case / echo, case / allowed, case / no rule."""
    rounds = list(zip(closed[case], closed[ECHO], closed[FAISS], closed["no rule"], strict=True))
    return (
        median(own / echo for own, echo, _, _ in rounds),
        median(own / allowed(echo, faiss) for own, echo, faiss, _ in rounds),
        median(own / bare for own, _, _, bare in rounds),
    )


def tables(result: dict[str, Any]) -> str:
    """One table per catalogue."""
    lines = []
    for items, size in result["sizes"].items():
        closed, latency = size["closed"], size["open"]
        lines += [
            "", f"{int(items):,} items, k = {result['k']}; latency at {size['rate']:,} calls a second; "
            f"server {size['server_resident_bytes'] / 2**20:.0f} MiB", "",
            "| case | calls/s | range | of echo | of echo + FAISS | of no rule | p50 ms | p90 ms | p99 ms |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]  # fmt: skip
        for case, rates in closed.items():
            low, high = min(rates), max(rates)
            head = f"| {case} | {median(rates):,.0f} | {low:,.0f}-{high:,.0f} |"
            if case == FAISS:
                lines.append(f"{head} | | | {size['faiss']['p50']:.3f} | | {size['faiss']['p99']:.3f} |")
                continue
            times = " | ".join(f"{median(run[q] for run in latency[case]):.2f}" for q in ("p50", "p90", "p99"))
            three = " | ".join(f"{ratio:.2f}" for ratio in ratios(closed, case)) if case != ECHO else "1 | | "
            lines.append(f"{head} {three} | {times} |")
        late = median(run["client_late_p99"] for runs in latency.values() for run in runs)
        lines += ["", f"The load client itself started 99 % of its calls within {late:.2f} ms of their time."]
    machine = result["machine"]
    lines += [
        "", f"{result['rounds']} rounds of {result['seconds']:g} s, medians; closed loop by {result['closed_client']}, "
        f"32 in flight; {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, "
        f"Tiller {machine['tiller']}.",
    ]  # fmt: skip
    return "\n".join(lines)


def draw(result: dict[str, Any], path: Path) -> None:
    """Throughput (bars, whiskers from slowest to fastest round) and latency (p50 and p99) per catalogue."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = result["sizes"]
    figure, axes = pyplot.subplots(len(sizes), 2, figsize=(11, 3.2 * len(sizes)), squeeze=False, layout="constrained")
    for (items, size), (left, right) in zip(sizes.items(), axes, strict=True):
        closed = {case: rates for case, rates in size["closed"].items() if case != FAISS}
        names = list(closed)
        middle = [median(rates) for rates in closed.values()]
        reach = [[m - min(r) for m, r in zip(middle, closed.values(), strict=True)],
                 [max(r) - m for m, r in zip(middle, closed.values(), strict=True)]]  # fmt: skip
        colours = ["0.7" if name == ECHO else "tab:blue" if name == "no rule" else "tab:orange" for name in names]
        left.barh(names, middle, xerr=reach, color=colours)
        bound = median(allowed(e, f) for e, f in zip(size["closed"][ECHO], size["closed"][FAISS], strict=True))
        left.axvline(bound, color="k", linestyle="--", linewidth=1, label="echo + bare FAISS allow")
        left.set_xlabel("calls per second, 32 in flight")
        left.set_title(f"{int(items):,} items")
        left.legend(loc="lower right", fontsize="small")
        for quantile, marker in (("p50", "o"), ("p99", "|")):
            values = [median(run[quantile] for run in size["open"][name]) for name in names]
            right.plot(values, names, marker, markersize=9, label=quantile)
        right.set_xlabel(f"milliseconds from the intended start, {size['rate']:,} calls a second")
        right.set_xlim(left=0)
        right.legend(loc="lower right", fontsize="small")
        for axis in (left, right):
            axis.invert_yaxis()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
