"""The SQLite index file: connections, schema, full-text index, location on disk, writer lease, SQL statements.

`connection.connect` opens an index, `connection.ensure_index` makes one, `location.locate_index` says where it is.
Only `store` imports this package; the app and the commands use `cogtui.store`.
"""
