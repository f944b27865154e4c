"""Clients of model services behind one protocol."""
