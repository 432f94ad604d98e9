"""Hyper-parameters of the SAE by search: the frontier between purity and fidelity, and the default as a point on it.

What decides never reports: trials are judged on one half of the items (held out again within that half) and on one set
of users; ``confirm`` measures the chosen points on the other half and on other users, with full training and several
seeds. The recommender sees the temporal train part only, and no trial looks at a test interaction. Command:
``python -m offline.search``. Legend: U users, N items, D embedding, L latents, C concepts.
"""
