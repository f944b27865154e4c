"""The values that queries return, and the columns of the list of rollouts.

`types` and `fields` are public to the app and the commands; the other modules belong to `store`.
"""
