"""Documents: classified for the four behaviours, curated into rich and minimised sets, rewritten, packed."""
