"""Where embeddings and interactions come from: public archives, the planted world, or your own tables."""
