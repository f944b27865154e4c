"""`cogtui run`: `flow` has its steps, `assertions` and `check` the language of --assert.

`cogtui judge` imports `follow.follow` and `display.make_display`.
"""
