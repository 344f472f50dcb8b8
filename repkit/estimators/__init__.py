"""The systems as scikit-learn estimators."""
