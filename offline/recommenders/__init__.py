"""Recommenders to steer when you bring interactions and no embeddings; frozen once they are trained."""
