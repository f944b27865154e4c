"""Rollouts that come with the package, with judgements and metrics, to read before anything is trained.

`unpack_showcase` unpacks `showcase.tar.xz` into a cache folder. `python -m benchmarks.showcase_data` makes the archive.
"""

from cogtui.store.showcase.unpack import Showcase, unpack_showcase

__all__ = ["Showcase", "unpack_showcase"]
