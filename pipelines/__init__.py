"""The science of cogtui: tasks, behaviours, teachers, corpora, training. Knows nothing of jobs or screens.

`records`, `folder`, `streams` and `stages` are the contract with the packages above; each package below has a stage.
"""
