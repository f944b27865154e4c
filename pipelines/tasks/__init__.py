"""Tasks: kinds of problems that models are trained and sampled on (docs/tasks.md).

From outside, use `pipelines.tasks.protocol` (what a task is), `registry` (tasks by name, descriptions of problems)
and `loading` (a finished `problems` stage). Countdown is the task that comes with cogtui.
"""
