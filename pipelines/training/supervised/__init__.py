"""Supervised fine-tuning and pretraining."""
