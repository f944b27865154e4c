"""The `corpus` stage: a small corpus made by the symbolic teacher."""
