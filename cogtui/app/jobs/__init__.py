"""Mode 2: every stage of the workspace in a live table. The app opens `screen.JobsScreen`."""
