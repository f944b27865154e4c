"""Attempts of a stage on disk, and the local queue.

`records`: job, start, exit and cancel records; `tickets`: the queue; `processes`: identity and signals; `clock`: ages
of files; `agent_lock`, `agent_link`: holding and reaching the agent. All are used by the other packages of `jobs`;
outside it, import `records` and `agent_link.ensure_agent`.
"""
