"""Reads (`reader`), searches (`search`) and follows (`follow`) the logs of stages, at any size.

Import `LogFile`, `LogLine`, `attempt_logs`, `best_log` from `reader`, `LogPattern` from `pattern`, `LogSearch` from
`search`, `line_level` from `levels`, and `StageFollower` from `follow`.
"""
