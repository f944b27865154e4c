"""`cogtui judge`, `agreement`, `annotations` and `gold`. Nothing in here is imported from outside.

`flow` runs a judge, `choice` selects its rollouts; `agreement` and `annotations` do the work of their commands.
"""
