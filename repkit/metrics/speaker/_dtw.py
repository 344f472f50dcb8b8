"""Internal. Dynamic time warping of many pairs of sequences at once, on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit.metrics.speaker._frames import frame_arrays

if TYPE_CHECKING:
    import torch

# On a processor, tiles that stay in its cache are faster than larger ones.
_CACHE_BYTES = 2**23
# Numbers for each frame and pair beside the distances: costs and path lengths of three
# anti-diagonals, and what an update makes on the way.
_STATE = 14


class Sequences:
    """Sequences of frames on the device, of which any block of pairs can be compared.

    The distance of two sequences is the mean angular distance (0 to 1) of their frames along the
    cheapest path with steps (1, 1), (0, 1) and (1, 0). Of equal paths the diagonal step is taken,
    then the one along the second sequence.

    Parameters
    ----------
    sequences : sequence of n arrays of shape (T_i, d)
    name : str
        What errors call it.
    device : torch.device
    batch_bytes : int
        Memory besides a copy of the frames.
    """

    def __init__(
        self, sequences: Sequence[Any], name: str, device: torch.device, batch_bytes: int
    ) -> None:
        import torch

        arrays = frame_arrays(sequences, name)
        self.lengths = np.array([len(a) for a in arrays])
        self.first = np.cumsum(self.lengths) - self.lengths
        double = device.type != "mps" and any(a.dtype == np.float64 for a in arrays)
        dtype = torch.float64 if double else torch.float32
        self.frames = torch.from_numpy(np.concatenate(arrays)).to(device, dtype)
        tiny = torch.finfo(dtype).tiny
        self.frames /= self.frames.abs().amax(dim=1, keepdim=True).clamp_min(tiny)
        self.frames /= self.frames.norm(dim=1, keepdim=True).clamp_min(tiny)
        self.rounding = 2.0**-40 if double else 2.0**-20
        self.budget = min(batch_bytes, _CACHE_BYTES) if device.type == "cpu" else batch_bytes
        longest = int(self.lengths.max())
        needed = self._bytes(longest, longest)
        if sum(needed) > batch_bytes:
            raise ValueError(
                f"batch_bytes must be at least {sum(needed)} for a pair of {longest} frames "
                f"of {self.frames.shape[1]} numbers, not {batch_bytes}: raise it, or cut the "
                "sequences into words"
            )
        self.budget = max(self.budget, sum(needed))

    def __len__(self) -> int:
        return len(self.lengths)

    def distances(self, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
        """Give the distances (r, c) of two selections of sequences."""
        # neighbors in length share a tile, for every pair costs as much as the longest
        rows_by_length = rows[np.argsort(-self.lengths[rows], kind="stable")]
        columns_by_length = columns[np.argsort(-self.lengths[columns], kind="stable")]
        out = self.frames.new_empty(len(rows), len(columns))
        longest = int(self.lengths[columns].max())
        start = 0
        while start < len(rows):
            square, side = self._bytes(int(self.lengths[rows_by_length[start]]), longest)
            # the root of square s^2 + side s = budget
            size = (math.sqrt(side**2 + 4.0 * square * self.budget) - side) / (2 * square)
            step = max(1, int(size))
            some = rows_by_length[start : start + step]
            for c in range(0, len(columns), step):
                others = columns_by_length[c : c + step]
                out[start : start + len(some), c : c + len(others)] = self._tile(some, others)
            start += step
        back = [np.argsort(np.argsort(-self.lengths[v], kind="stable")) for v in (rows, columns)]
        row, column = (self._index(v) for v in back)
        return out[row][:, column].div_(self.rounding).round_()

    def _bytes(self, n: int, m: int) -> tuple[int, int]:
        """Give the bytes of a pair of n and m frames, and of the frames of both."""
        itemsize = self.frames.element_size()
        return itemsize * n * (m + _STATE), itemsize * self.frames.shape[1] * (n + m)

    def _index(self, index: np.ndarray) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(index)).to(self.frames.device)

    def _padded(self, index: np.ndarray) -> torch.Tensor:
        """Give the frames (T, k, d) of k sequences; after its end a sequence stays where it is."""
        lengths = self.lengths[index]
        time = np.minimum(np.arange(lengths.max())[:, None], lengths - 1)
        return self.frames[self._index(time + self.first[index])]

    def _tile(self, R: np.ndarray, C: np.ndarray) -> torch.Tensor:
        import torch

        one, two = self._padded(R), self._padded(C)
        (n, r, d), (m, c, _) = one.shape, two.shape
        cosine = one.reshape(n * r, d) @ two.reshape(m * c, d).T
        # the angle of equal frames is 0, though rounding leaves their cosine just below 1
        cosine *= 1 + 8 * torch.finfo(cosine.dtype).eps
        distance = cosine.clamp_(-1, 1).acos_().div_(math.pi).reshape(n, r, m, c)
        last, last_too = self.lengths[R] - 1, self.lengths[C] - 1
        return mean_along_path(distance, last, last_too)


def mean_along_path(distance: torch.Tensor, last: np.ndarray, last_too: np.ndarray) -> torch.Tensor:
    """Warp r x c pairs by frame distances (n, r, m, c), one anti-diagonal after the other.

    Parameters
    ----------
    distance : tensor of shape (n, r, m, c)
        Contiguous.
    last, last_too : arrays of shape (r,) and (c,)
        The last frame of each sequence.

    Returns
    -------
    mean : tensor of shape (r, c)
    """
    import torch

    n, r, m, c = distance.shape
    # row i + 1 holds frame i of the first sequence; row 0 and rows not yet reached are infinite
    costs = distance.new_full((3, n + 1, r, c), torch.inf)
    steps = distance.new_zeros((3, n + 1, r, c))
    ends = (last[:, None] + last_too).ravel()
    order = np.argsort(ends, kind="stable")
    bounds = np.searchsorted(ends[order], np.arange(n + m))
    pair = torch.from_numpy(order).to(distance.device)
    row_of_end = torch.from_numpy(np.repeat(last + 1, c)).to(distance.device)[pair]
    out = distance.new_empty(r * c)
    for k in range(int(ends.max()) + 1):
        lo, hi = max(0, k - m + 1), min(n - 1, k) + 1
        cost, before, two_before = (costs[(k - i) % 3] for i in range(3))
        step, step_before, step_two_before = (steps[(k - i) % 3] for i in range(3))
        # the cells (i, k - i) for lo <= i < hi
        here = distance.as_strided(
            (hi - lo, r, c), (r * m * c - c, m * c, 1), lo * r * m * c + (k - lo) * c
        )
        if k == 0:
            cost[1], step[1] = here[0], 1
        else:
            inside, above, left = slice(lo + 1, hi + 1), before[lo:hi], before[lo + 1 : hi + 1]
            diagonal = two_before[lo:hi]
            fewest = torch.where(left <= above, step_before[inside], step_before[lo:hi])
            best = torch.minimum(left, above)
            fewest = torch.where(diagonal <= best, step_two_before[lo:hi], fewest)
            torch.add(torch.minimum(best, diagonal), here, out=cost[inside])
            torch.add(fewest, 1, out=step[inside])
        done = slice(int(bounds[k]), int(bounds[k + 1]))
        if done.start < done.stop:
            p, i = pair[done], row_of_end[done]
            out[p] = cost.reshape(n + 1, -1)[i, p] / step.reshape(n + 1, -1)[i, p]
    return out.reshape(r, c)
