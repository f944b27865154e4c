"""The agent that runs local jobs."""
