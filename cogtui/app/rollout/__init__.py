"""One rollout on screen: text with spans, facts, row in a list. Used by traces, annotation and judges."""
