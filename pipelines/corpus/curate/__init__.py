"""The `curate` stage: selecting and rewriting documents."""
