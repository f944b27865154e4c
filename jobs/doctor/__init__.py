"""The checks of `cogtui doctor`."""
