"""Conversion of text and data to styled lines: themes, layout, highlighting, plots, terminal-safe text. No widgets.

Everything here may be imported by the packages above; it imports nothing of the app.
"""
