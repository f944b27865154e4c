"""The SQLite file: connection, schema, lease, and the statements that write to it."""
