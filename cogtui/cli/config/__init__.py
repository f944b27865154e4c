"""`cogtui config show`: settings and where their values come from. Nothing in here is imported from outside."""
