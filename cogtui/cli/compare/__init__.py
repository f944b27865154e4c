"""`cogtui compare` and `cogtui report`.

`cogtui run` imports `show.comparison_lines`, `cogtui gold` imports `show.find_experiment`.
"""
