"""The recommenders that can be asked for by name, with their configurations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from torch import nn

from bundle.errors import DataError
from offline.recommenders.base import Recommender
from offline.recommenders.mf import MatrixFactorization, MfConfig
from offline.recommenders.ncf import Ncf, NcfConfig, NcfScorer
from offline.recommenders.sasrec import SasRec, SasRecConfig, SasRecTower

Name = Literal["mf", "ncf", "sasrec"]

CONFIGS: dict[str, type[BaseModel]] = {"mf": MfConfig, "ncf": NcfConfig, "sasrec": SasRecConfig}


def make_recommender(name: str) -> Recommender[Any]:
    """The recommender of that name.

    Raises:
        DataError: there is none.
    """
    if name == "mf":
        return MatrixFactorization()
    if name == "ncf":
        return Ncf()
    if name == "sasrec":
        return SasRec()
    raise DataError("recommender", found=repr(name), expected=f"one of {', '.join(CONFIGS)}")


def empty_modules(name: str, config: dict[str, Any], n_items: int) -> tuple[nn.Module | None, nn.Module | None]:
    """Scorer and user tower of a recommender, built from its configuration, before their weights are put in."""
    if name == "ncf":
        ncf = NcfConfig.model_validate(config)
        return NcfScorer(ncf.dim, ncf.hidden), None
    if name == "sasrec":
        return None, SasRecTower(n_items, SasRecConfig.model_validate(config))
    return None, None
