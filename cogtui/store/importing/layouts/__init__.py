"""The importers that come with cogtui, one file per row layout, each with an instance `IMPORTER`.

A layout whose fields are columns is a `cogtui.store.importing.column_importer.ColumnImporter`; any other implements
`cogtui.store.importing.protocol.RowImporter`.
"""
