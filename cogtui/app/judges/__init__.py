"""Mode 5: the judges, their agreement, and the traces on which they disagree. The app opens `screen.JudgesScreen`."""
