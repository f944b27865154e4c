"""Facts, log and actions of one stage. Experiments and jobs build on `stages_screen.StagesScreen` and `facts`."""
