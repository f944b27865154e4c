"""Facts, log and actions of one stage. Experiments and jobs build on `actions.StageActions` and `facts`."""
