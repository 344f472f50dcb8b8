"""Internal. Parts of `TripleGAN`: a share of pairs, and the pseudo-discriminative loss."""

from __future__ import annotations

from repkit.base.parameters import Part, choice, number, parameters

__all__ = ["AdversarialTerm", "PseudoDiscriminative"]


@parameters
class AdversarialTerm(Part):
    """What the pairs of the classifier count in the game (Li et al. 2017, equation 2).

    Parameters
    ----------
    alpha : float, default=0.5
        Share of the classifier's pairs among the fakes that D is shown, from 0 to 1, and weight of
        the adversarial term in C.
    expectation : {"exact", "argmax"}, default="exact"
        How the mean over the classifier's labels is taken: over all classes, or from the likeliest
        class alone as in the authors' code.
    """

    alpha: float = number(0.0, 1.0, default=0.5, kw_only=False)
    expectation: str = choice("exact", "argmax", default="exact")


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
