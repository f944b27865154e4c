"""The filter language: `parser.parse` turns a text into a syntax tree (`ast`) or raises `lexer.FilterError`.

Public to all of `cogtui`. Knows nothing of SQL.
"""
