"""Clients of model services, one per SDK, behind `protocol.ModelClient`.

From outside: `connect.connect`, which chooses the client of a model, and the types of `protocol`.
"""
