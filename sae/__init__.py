"""The sparse autoencoder of two-tower embeddings: model, losses, two-stage trainer, metrics, export (torch).

The server never imports this package: it reads ``bundle.SaeWeights``. Legend: B batch, D embedding, L latents, N items,
U users.
"""
