"""The frame of every screen: base screen, dialogs, help, background threads, snapshots, messages that open screens.

Every feature may import all of it; the shell imports no feature.
"""
