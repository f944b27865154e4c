"""The list of rollouts: filter, sort, columns, saved views, problems, histogram. The app opens `TracesScreen`."""
