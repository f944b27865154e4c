"""The launch screen: a recipe as a form, the plan that it becomes, and its submission.

The app opens `screen.LaunchScreen`; `fields`, `draft` and `preview` compute what it shows and know no widgets.
"""
