"""Notifications of a run, at its end or on a warning: terminal, command, webhook. Import `alerts.RunAlerts`.

Nothing here holds up a run: messages are delivered in threads, and the program waits for them at most ten seconds.
"""
