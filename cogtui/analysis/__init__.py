"""Numbers about rollouts: curves, intervals, claims, reports, and the agreement of judges. No widgets.

The app and the commands import `curves`, `experiment_summary`, `report.write`, `tables`, `reference` and
`agreement.indexed`; the other modules serve these.
"""
