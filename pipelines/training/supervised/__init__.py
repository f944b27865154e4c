"""Supervised training: pretraining of small models (`pretraining`) and fine-tuning with TRL (`sft`)."""
