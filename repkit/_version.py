"""Internal. The version, where every part can read it without importing the package's root."""

__version__ = "0.1.0"
