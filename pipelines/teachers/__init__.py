"""Priming traces: conditions, teachers that write traces, and control sets derived from them.

`stage.run` is the `priming_data` stage, `configs` its config, `conditions` the table of conditions. Teachers are
`symbolic.teacher.SymbolicTeacher` and `model.teacher.ModelTeacher`.
"""
