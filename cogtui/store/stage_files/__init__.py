"""Stage folders and their stream files: scanning folders, reading complete lines, decoding records.

`scan` lists stages and files, `line_reader` reads blocks of lines, `decode` decodes them, `record_reader` reads one
record back. Only `store` imports this package.
"""
