"""Attempts of a stage on disk: records, claims, tickets, processes."""
