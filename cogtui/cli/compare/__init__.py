"""`cogtui compare` and `cogtui report`."""
