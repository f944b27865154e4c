"""Documents: sources, filters, near duplicates, leaks of test problems, curated examples."""
