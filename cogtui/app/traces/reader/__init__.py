"""Reading one rollout: text with spans, search, token boundaries. The app opens `screen.TraceScreen`."""
