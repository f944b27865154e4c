"""Reports of a run for CI: a JUnit file and a GitHub step summary. Import `files.RunReports` and `outcome`."""
