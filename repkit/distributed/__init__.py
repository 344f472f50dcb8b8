"""Features of data that lie on many machines, for those who already run Ray or Dask.

`transform` takes a dataset of Ray Data or a collection of Dask, and gives one of the same kind,
which is computed when its user asks for it. Training on several devices needs nothing of this.
"""

from repkit.distributed.transforming import transform

__all__ = ["transform"]
