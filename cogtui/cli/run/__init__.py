"""`cogtui run`."""
