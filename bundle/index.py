"""What the manifest says about a bundle's search index: kind, parameters, and the recall it was measured at.

An index that is not exact is only worth what was measured on it, so the figures travel with it and a server refuses a
bundle whose figures are under its own gate.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

IndexKind = Literal["flat", "hnsw", "hnsw-sq8", "ivf", "ivf-sq8", "ivf-pq"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FlatParams(_Frozen):
    """An exact scan has nothing to set."""


class HnswParams(_Frozen):
    """A navigable graph (Malkov and Yashunin 2018, arXiv 1603.09320)."""

    m: int = Field(ge=2, le=256, description="neighbours of an item in the graph, twice as many on the ground level")
    ef_construction: int = Field(ge=1, le=10_000, description="candidates kept while an item is put into the graph")
    ef_search: int = Field(ge=1, le=100_000, description="candidates kept while searching; all are scored exactly")
    euclidean: int = Field(
        default=0, ge=0, le=1, description="0: edges by inner product; 1: by distance, over points of one norm"
    )


class IvfParams(_Frozen):
    """Inverted lists: items by their nearest centroid, the lists of the best centroids are searched."""

    nlist: int = Field(ge=1, description="centroids")
    nprobe: int = Field(ge=1, description="lists searched per query")
    candidates: int = Field(ge=1, le=100_000, description="items the index hands over to be scored exactly")

    @model_validator(mode="after")
    def _probes_at_most_all(self) -> Self:
        if self.nprobe > self.nlist:
            raise ValueError(f"nprobe {self.nprobe} is more than nlist {self.nlist}")
        return self


class PqParams(IvfParams):
    """Inverted lists of product-quantised residuals (Jégou et al. 2011): one byte for each of ``pq_m`` parts."""

    pq_m: int = Field(ge=1, description="parts a vector is cut into; divides the search dimension")


IndexParams = FlatParams | HnswParams | IvfParams

PARAMS: dict[IndexKind, type[FlatParams] | type[HnswParams] | type[IvfParams]] = {
    "flat": FlatParams,
    "hnsw": HnswParams,
    "hnsw-sq8": HnswParams,
    "ivf": IvfParams,
    "ivf-sq8": IvfParams,
    "ivf-pq": PqParams,
}


class RecallRow(_Frozen):
    """One kind of query, asked of this index and of an exact one through the same engine."""

    query: str = Field(min_length=1, description="what was asked: unsteered, promote on the item channel, ...")
    queries: int = Field(ge=1, description="how many requests were compared, for each list length")
    recall_at_10: float = Field(ge=0, le=1, description="share of the exact top 10 that came back, mean over requests")
    recall_at_100: float = Field(ge=0, le=1, description="the same for the top 100")
    milliseconds: float = Field(ge=0, description="median time of a request for 10 items, one thread, where built")
    flat_milliseconds: float = Field(ge=0, description="the same on the exact index, in the same run")

    @property
    def lowest(self) -> float:
        """The lower of the two recalls."""
        return min(self.recall_at_10, self.recall_at_100)


class IndexEntry(_Frozen):
    """manifest.json: index. Left out: the exact index that export writes."""

    kind: IndexKind
    params: dict[str, int] = Field(description="see HnswParams, IvfParams, PqParams")
    faiss_version: str
    seed: int = Field(description="of the centroids, of the sample they were fitted on, and of the measurement")
    gate: float = Field(ge=0, le=1, description="every recall must reach it")
    asked_as: Literal["users", "items"] = Field(
        description="whose vectors asked: stored users, or items where there are none (an easier question)"
    )
    recall: tuple[RecallRow, ...] = Field(description="empty for flat over the search vectors, which is exact")
    rescored: int = Field(
        default=0, ge=0, description="the index is over proxies: candidates that the scorer network ranks; 0: it is not"
    )

    @model_validator(mode="after")
    def _params_fit_the_kind(self) -> Self:
        PARAMS[self.kind].model_validate(self.params)
        if (self.kind != "flat" or self.rescored) and not self.recall:
            raise ValueError(f"a {self.kind} index{' of proxies' if self.rescored else ''} without measured recall")
        return self

    @property
    def settings(self) -> IndexParams:
        """The parameters as an object of their kind."""
        return PARAMS[self.kind].model_validate(self.params)

    @property
    def worst(self) -> RecallRow | None:
        """The row of lowest recall; None for flat."""
        return min(self.recall, key=lambda row: row.lowest, default=None)

    @property
    def passed(self) -> bool:
        """Whether every recall reaches the gate."""
        return self.worst is None or self.worst.lowest >= self.gate
