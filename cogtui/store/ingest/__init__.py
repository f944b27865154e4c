"""Files into the index."""
