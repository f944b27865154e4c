"""Mode 5: judges, their agreement, and the traces they disagree on."""
