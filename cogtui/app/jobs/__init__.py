"""Mode 2: every stage of the workspace as a live table."""
