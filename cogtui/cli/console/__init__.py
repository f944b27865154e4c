"""Shared by all commands: `output` (JSON envelope, errors, exit codes), `alignment` (tables), `options`.

All three may be imported by every command group.
"""
