"""Carries what people gave to a bundle over to the next one, through the items that both hold.

Legend: N items, L latents, C concepts. docs/alignment.md explains, docs/decisions/012 gives the figures.
"""
