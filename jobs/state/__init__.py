"""From evidence to the state of a stage."""
