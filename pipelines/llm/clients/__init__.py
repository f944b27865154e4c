"""Clients of model services, one per SDK, behind `protocol.ModelClient`; `connect` chooses."""
