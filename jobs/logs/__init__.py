"""Reads (`reader`) and follows (`follow`) the logs of stages."""
