"""The values that the index answers with, and its fields."""
