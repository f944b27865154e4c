"""Shared by all commands: `output` (JSON envelope, errors, exit codes), `layout` (tables, wrapping), `options`.

All of them may be imported by every command group.
"""
