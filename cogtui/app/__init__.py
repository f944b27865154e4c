"""The Textual app: features side by side over what they share.

From outside, import `main` (start the app) and `screenshots`. Features: experiments, jobs, stages, traces, curves,
judges, annotation. They share rollout, shell, widgets, textual_compat and rendering.
"""
