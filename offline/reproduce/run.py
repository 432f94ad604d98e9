"""One call per paper: every unit, then evaluation.json, evaluation.html and the figures. Called again, it goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundle import __version__
from offline.progress import Progress, Quiet
from offline.reproduce import arviv, bars, klenitskiy, page
from offline.reproduce.config import Plan, ReproduceConfig
from offline.reproduce.store import Store, plain, write_text


def reproduce(config: ReproduceConfig, ui: Progress | None = None, plan: Plan | None = None) -> dict[str, Any]:
    """Do what is not done yet, and write the results into ``config.out``; the document of evaluation.json.

    Raises:
        DataError: an archive is missing or damaged; TrainingError: a training fails, or the folder is in use.
    """
    ui = ui or Quiet()
    plan = plan or Plan.of(config)
    store = Store(config.out)
    try:
        if store.started:
            ui.say(f"Going on with the run in {config.out}: {store.started} units are there.")
        run = klenitskiy.run if config.paper == "klenitskiy2025" else arviv.run
        settings = plain(run(config, plan, store, ui))
        document: dict[str, Any] = {
            "kind": "tiller.reproduction",
            "version": 1,
            "tiller_version": __version__,
            "paper": config.paper,
            "fast": config.fast,
            "seeds": list(config.all_seeds),
            "device": config.device,
            "command": config.command,
            "plan": plain(asdict(plan)),
            "units": store.made + store.found,
            "seconds": round(store.seconds, 1),
            "settings": settings,
        }
        document["bars"] = plain(bars.table(document))
        ui.stage("writing the report")
        write(document, config.out)
    finally:
        ui.close()
        store.close()
    return document


def write(document: dict[str, Any], out: Path) -> None:
    """evaluation.json, evaluation.html and figures/*.png, *.svg."""
    write_text(out / "evaluation.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    drawn = page.drawings(document)
    write_text(out / "evaluation.html", page.render(document, drawn))
    folder = out / "figures"
    folder.mkdir(exist_ok=True)
    for drawing in drawn.values():
        drawing.save(folder)
