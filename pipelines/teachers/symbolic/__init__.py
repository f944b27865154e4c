"""The symbolic teacher: honest search put into words."""
