"""One rollout on screen: its text with spans, its facts, its row in a list."""
