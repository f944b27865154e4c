"""The filter language: text to a syntax tree. Knows nothing of SQL."""
