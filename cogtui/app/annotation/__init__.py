"""People annotate: the draft and its edits, places to move to, and the text with a caret."""
