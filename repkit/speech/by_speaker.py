"""Internal. What follows from a transformer's `fit` and `transform` by speaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import TransformerMixin


class BySpeaker(TransformerMixin):
    """Of transformers whose `fit` and `transform` both take the speaker of each row."""

    if TYPE_CHECKING:

        def fit(self, X: Any, y: Any = None, *, speaker: Any = None) -> Any: ...
        def transform(self, X: Any, *, speaker: Any = None) -> Any: ...

    def fit_transform(self, X: Any, y: Any = None, *, speaker: Any = None) -> Any:
        """Fit, and transform the same X.

        Parameters
        ----------
        X : array or list of arrays
            In the forms that `fit` takes.
        y : None
            Not read.
        speaker : array-like, optional
            Who speaks, as in `fit`; both use it.

        Returns
        -------
        ndarray or list of ndarray
            As `transform` gives it.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.
        """
        return self.fit(X, speaker=speaker).transform(X, speaker=speaker)
