"""The frozen recommender's score as torch sees it: gradients pass through, nothing in it moves.

``dot``: ``p . q + b_v``; ``cosine``: ``p . q / (|p| |q|)``; or a scorer network of the recommender's own, such as the
MLP of NCF (He et al. 2017, arXiv 1708.05031), whose raw logits then are the scores. The item bias takes part wherever
there is one: it shifts whole lists towards popular items, and a reconstruction judged without it would be judged on
lists that nobody is shown. Legend: U users and N items of a block, D embedding.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundle import Metric
from bundle.errors import TrainingError

SAMPLE_USERS, SAMPLE_ITEMS = 1024, 8192
SAMPLE_PAIRS = 500_000


class FrozenScorer:
    """Scores of embeddings, original or reconstructed.

    ``module``: a network in place of the metric, ``module(users [U, D], items [N, D]) -> [U, N]`` raw logits. It is
    copied, put into eval mode and frozen, so the caller's own never changes. Pairs go through ``module.pairs(users
    [B, D], items [B, D]) -> [B]`` where it has that, else through ``torch.func.vmap`` of blocks of one.

    ``variance``: of the scores of all pairs; ``spread``: standard deviation of one user's scores over the items, root
    mean square over users. Both on an evenly spaced sample of at most 1,024 users and 8,192 items (of at most about
    500,000 pairs for a network).
    """

    def __init__(
        self, metric: Metric, users: Tensor, items: Tensor, bias: Tensor | None, module: nn.Module | None = None
    ) -> None:
        if module is not None and bias is not None:
            raise TrainingError(
                "item bias",
                found="beside a scorer network",
                expected="none: the network's logits are the scores",
                hint="Let the network add its own bias, or train with the metric.",
            )
        self.metric = metric
        self.bias = bias
        self.module = None if module is None else _frozen(module, users)
        self._paired = None if self.module is None else _pairing(self.module)
        count_users, count_items = min(len(users), SAMPLE_USERS), min(len(items), SAMPLE_ITEMS)
        if self.module is not None:
            count_items = min(count_items, 1024)
            count_users = min(count_users, SAMPLE_PAIRS // count_items)
        some_users = _spaced(len(users), count_users, users.device)
        some_items = _spaced(len(items), count_items, items.device)
        with torch.no_grad():
            scores = self.block(users[some_users], items[some_items], some_items)
            if scores.shape != (len(some_users), len(some_items)) or not bool(scores.isfinite().all()):
                raise TrainingError(
                    "scorer",
                    found=f"{tuple(scores.shape)}" if bool(scores.isfinite().all()) else "NaN or infinity",
                    expected=f"finite scores {(len(some_users), len(some_items))}: a row per user, a column per item",
                )
            floor = torch.finfo(scores.dtype).tiny
            self.variance = max(float(scores.var(correction=0)), floor)
            self.spread = max(float(scores.var(1, correction=0).mean().sqrt()), floor**0.5)

    def block(self, users: Tensor, items: Tensor, rows: Tensor) -> Tensor:
        """Scores [U, N] of every user [U, D] for every item [N, D]; ``rows`` [N] are the items' row numbers."""
        if self.module is not None:
            return torch.as_tensor(self.module(users, items))
        if self.metric == "cosine":
            return functional.normalize(users, dim=1) @ functional.normalize(items, dim=1).T
        if self.bias is None:
            return users @ items.T
        return torch.addmm(self.bias[rows], users, items.T)

    def pairs(self, users: Tensor, items: Tensor, rows: Tensor) -> Tensor:
        """Scores [B] of pair j = (users[j], items[j]), item rows ``rows`` [B]."""
        if self._paired is not None:
            return self._paired(users, items)
        if self.metric == "cosine":
            return functional.cosine_similarity(users, items)
        score = (users * items).sum(1)
        return score if self.bias is None else score + self.bias[rows]

    def fingerprint(self) -> str:
        """Names the network and its weights; empty without one."""
        if self.module is None:
            return ""
        digest = hashlib.sha256(repr(self.module).encode())
        for name, tensor in self.module.state_dict().items():
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _frozen(module: nn.Module, like: Tensor) -> nn.Module:
    own = copy.deepcopy(module).to(like.device).eval()
    return own.requires_grad_(False)


def _pairing(module: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The network's own ``pairs``, or blocks of one user and one item under vmap."""
    own = getattr(module, "pairs", None)
    if callable(own):
        return lambda users, items: torch.as_tensor(own(users, items))

    def one(user: Tensor, item: Tensor) -> Tensor:
        return torch.as_tensor(module(user[None], item[None]))[0, 0]

    return lambda users, items: torch.as_tensor(torch.func.vmap(one)(users, items))


def _spaced(count: int, most: int, device: torch.device) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most), device=device).round().long()
