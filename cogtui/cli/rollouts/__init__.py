"""`cogtui rollouts`, `trace`, `export`, `import`, `note`, `reindex`."""
