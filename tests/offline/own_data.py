"""Small input for whole runs: a planted world of 300 items as own tables, and SAE settings that train in a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from offline.datasets.synthetic import SyntheticConfig, make_synthetic

WORLD = SyntheticConfig(items=300, users=240, mean_interactions=30)
QUICK: dict[str, Any] = {
    "latents": 48,
    "batch_users": 64,
    "batch_items": 128,
    "report_every": 10,
    "checkpoint_every": 20,
    "stage1": {"steps": 120},
    "stage2": {"steps": 60},
}


def write_tables(folder: Path) -> dict[str, Path]:
    """The same catalogue as Parquet tables and as .npy with id files; what to pass for each."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = make_synthetic(WORLD, seed=3)
    items = np.asarray(dataset.truth["item_factors"], np.float32)
    users = np.asarray(dataset.truth["user_factors"], np.float32)
    bias = np.asarray(dataset.truth["item_bias"], np.float32)
    users += 0.05 * np.random.default_rng(0).normal(size=users.shape).astype(np.float32)
    taken = dataset.interactions
    assert taken is not None
    paths = {name: folder / f"{name}.parquet" for name in ("items", "users", "interactions", "item_ids")}
    paths |= {"item_vectors": folder / "v.npy", "user_vectors": folder / "u.npy", "user_ids": folder / "users.txt"}
    table = dataset.items.append_column("bias", pa.array(bias))
    pq.write_table(table.append_column("embedding", pa.array(list(items))), paths["items"])
    pq.write_table(table, paths["item_ids"])
    pq.write_table(pa.table({"user_id": dataset.user_ids, "embedding": list(users)}), paths["users"])
    ids = table["item_id"].to_pylist()
    pq.write_table(
        pa.table(
            {
                "user_id": [dataset.user_ids[row] for row in taken.user],
                "item_id": [ids[row] for row in taken.item],
                "order": taken.order,
            }
        ),
        paths["interactions"],
    )
    np.save(paths["item_vectors"], items)
    np.save(paths["user_vectors"], users)
    paths["user_ids"].write_text("\n".join(dataset.user_ids) + "\n")
    return paths
