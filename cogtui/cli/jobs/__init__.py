"""`cogtui ls`, `show`, `logs`, `cancel`, `doctor`."""
