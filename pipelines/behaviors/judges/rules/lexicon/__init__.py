"""The wordings that the rules know."""
