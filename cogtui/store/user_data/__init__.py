"""Data that people write, stored outside the index: notes and tags, annotations, saved views.

Notes and annotations are append-only files of the workspace (`jobs.append_log`); views are a file of the user's
configuration. Their file names and formats stay readable across versions.
"""
