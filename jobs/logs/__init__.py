"""Reads (`reader`) and follows (`follow`) the logs of stages, at any size.

Import `LogFile`, `LogLine`, `attempt_logs`, `best_log` from `reader`, `LogPattern` from `pattern`, and
`StageFollower` from `follow`.
"""
