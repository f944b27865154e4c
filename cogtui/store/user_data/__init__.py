"""Append-only logs of what people write: notes, annotations, views."""
