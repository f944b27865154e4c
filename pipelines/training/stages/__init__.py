"""The entry points of the training stages."""
