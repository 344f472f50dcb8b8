"""Internal. The part of `TripleGAN`'s parameters that is its own."""

from __future__ import annotations

from repkit.base.parameters import Part, number, parameters

__all__ = ["PseudoDiscriminative"]


@parameters
class PseudoDiscriminative(Part):
    """The pseudo-discriminative loss: the classifier learns from generated samples.

    It is the cross-entropy of C's prediction for G(y, z) against the class y that was asked for
    (Li et al. 2017, section 3.2). It helps once G makes what it is asked for, and harms before;
    the gate is in the place of the epoch at which the authors' code turns it on.

    Parameters
    ----------
    weight : float, default=0.1
        Weight of the loss.
    gate : float, default=0.9
        Share of generated samples. The loss counts in the steps in which the averaged classifier
        finds the class that was asked for in at least this share of them.
    """

    weight: float = number(default=0.1, kw_only=False)
    gate: float = number(0.0, 1.0, default=0.9)
