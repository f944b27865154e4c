"""The phrases that the rules recognise."""
