"""`cogtui judge`, `agreement`, `annotations`."""
