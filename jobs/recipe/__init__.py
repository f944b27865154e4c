"""From TOML to a checked recipe."""
