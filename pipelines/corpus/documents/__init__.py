"""Documents: where they come from, what is screened out, duplicates, leaks."""
