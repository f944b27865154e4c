"""The frame every screen lives in: base screen, dialogs, help, background threads, snapshots, messages."""
