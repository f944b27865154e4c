"""`cogtui compare` and `cogtui report`. `cogtui run` imports `show.comparison_lines`."""
