"""What two papers did, done again from one command: ``tiller reproduce arviv2025`` and ``klenitskiy2025``.

``arviv2025``: Arviv, Elisha, Barkan & Koenigstein 2025, Extracting Interaction-Aware Monosemantic Concepts in
Recommender Systems (arXiv 2511.18024). ``klenitskiy2025``: Klenitskiy et al. 2025, Sparse Autoencoders for Sequential
Recommendation Models: Interpretation and Flexible Control (arXiv 2507.12202). docs/reproduce.md tells what is measured.
"""
