"""The `classify` stage: behaviours in a document corpus."""
