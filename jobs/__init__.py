"""What runs where: recipes become plans, plans become jobs, jobs become states.

From outside import `workspace`, `formatting`, and the modules that each package names in its own docstring.
Only `submitit_adapter` touches submitit.
"""
