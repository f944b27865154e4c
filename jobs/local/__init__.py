"""The local cluster: an agent that serves the queue of a workspace.

`agent` is a program, `python -m jobs.local.agent WORKSPACE`; `slots`: free cores and GPUs; `inputs`: whether inputs are
finished; `executor`: starts a worker. Other packages import only `slots.Machine`.
"""
