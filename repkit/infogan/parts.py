"""Internal. Parts of `InfoGAN`: the two kinds of codes."""

from __future__ import annotations

from repkit.base.parameters import MOST_UNITS, Part, choice, integer, number, parameters, sizes

__all__ = ["Categorical", "Continuous"]


@parameters
class Categorical(Part):
    """Categorical codes, and what is asked of them.

    Parameters
    ----------
    sizes : tuple of int, default=(10,)
        The number of values of each code; ``()`` is no categorical code.
    weight : float, default=1.0
        Weight of the information about these codes: the lambda of the paper.
    invariance : float, default=0.0
        Weight of the mutual information between the categories of two views of each row of X (IIC,
        Ji et al. 2019): a row's category is to survive the augmentation of the estimator.

    Examples
    --------
    >>> from repkit import InfoGAN
    >>> from repkit.infogan import Categorical
    >>> InfoGAN(categorical=Categorical((10, 2), weight=0.5)).categorical
    Categorical((10, 2), weight=0.5)
    >>> InfoGAN(categorical=(10, 2)).set_params(categorical__weight=0.5).categorical
    Categorical((10, 2), weight=0.5)
    """

    sizes: tuple[int, ...] = sizes(2, MOST_UNITS, default=(10,), kw_only=False)
    weight: float = number(default=1.0)
    invariance: float = number(default=0.0)


@parameters
class Continuous(Part):
    """Continuous codes, each uniform on [-1, 1], and what is asked of them.

    Parameters
    ----------
    n : int, default=2
        The number of codes; 0 is none.
    weight : float, default=1.0
        Weight of the information about these codes: the lambda of the paper.
    variance : {"fixed", "learned"}, default="fixed"
        Variance of the Gaussians by which Q says what a code is: 1, or an output of Q.
    contrastive : float, default=0.0
        Weight of the contrastive regularizer of InfoGAN-CR (Lin et al. 2020): a network H finds
        which code a pair of samples has in common.

    Examples
    --------
    >>> from repkit import InfoGAN
    >>> from repkit.infogan import Continuous
    >>> InfoGAN(continuous=Continuous(4, contrastive=1.0)).continuous
    Continuous(4, contrastive=1.0)
    """

    n: int = integer(0, MOST_UNITS, default=2, kw_only=False)
    weight: float = number(default=1.0)
    variance: str = choice("fixed", "learned", default="fixed")
    contrastive: float = number(default=0.0)
