"""Small base models that come with the package, so that a recipe need not pretrain one.

`shipped_model(name)` gives one; `SHIPPED_NAMES` lists them. Each is a folder here in the Hugging Face layout with a
`card.toml`: what it is, how it was made, what it does, and the sha256 of every file.
"""

from pipelines.training.shipped.models import SHIPPED_NAMES, ShippedModel, shipped_model

__all__ = ["SHIPPED_NAMES", "ShippedModel", "shipped_model"]
