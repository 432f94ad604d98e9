"""Serves a bundle: steering rules to latent edits to top-k search, over gRPC. Runs without torch."""
