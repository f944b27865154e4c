"""The `corpus` stage: a small corpus written by the symbolic teacher, to try classification and curation on."""
