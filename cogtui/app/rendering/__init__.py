"""Text to styled lines: themes, layout, highlighting, plots. No widgets."""
