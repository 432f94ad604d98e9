"""Measures a recommender, its SAE and its concepts, and what steering costs; docs/evaluation.md explains each figure.

Legend: N items, U users, D embedding, L latents, C concepts, K list length.
"""

from offline.evaluate.config import EvaluateConfig
from offline.evaluate.run import evaluate
from offline.evaluate.subject import HeldOutScores

__all__ = ["EvaluateConfig", "HeldOutScores", "evaluate"]
