"""Tests that import verl, in an environment of its own: `make test-verl`."""
