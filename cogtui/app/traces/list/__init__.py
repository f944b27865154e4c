"""The list of rollouts: filter, sort, columns, views, problems, histogram."""
