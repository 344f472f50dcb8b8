"""Internal. Libraries that only an extra installs, imported when they are needed."""

from importlib import import_module
from types import ModuleType

# The name that pip knows, where it is not the name that is imported.
_DISTRIBUTIONS = {"umap": "umap-learn", "PIL": "pillow", "huggingface_hub": "huggingface-hub"}
# What needs the library, and for each extra what does.
_LIBRARY_USES = {"PIL": "images need", "pyarrow": "Parquet needs"}
_USES = {
    "cli": "the command line needs",
    "data": "downloads need",
    "hub": "the Hugging Face hub needs",
    "onnx": "ONNX needs",
    "plots": "plots need",
    "speech": "speech needs",
}


def need(name: str, extra: str) -> ModuleType:
    """Import a module that only an extra installs.

    Parameters
    ----------
    name : str
        Module to import, such as "matplotlib" or "matplotlib.pyplot".
    extra : str
        The extra of this package that installs it, such as "plots".

    Returns
    -------
    module : ModuleType
        The imported module `name`.

    Raises
    ------
    ImportError
        If the module is missing or cannot be loaded. The message names the extra.

    Examples
    --------
    >>> need("json", "data").dumps([1])
    '[1]'
    >>> need("matplotlab", "plots")
    Traceback (most recent call last):
    ImportError: plots need matplotlab: python -m pip install 'repkit[plots]'
    """
    try:
        return import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        root = name.partition(".")[0]
        library = _DISTRIBUTIONS.get(root, root)
        use = _LIBRARY_USES.get(root) or _USES.get(extra, f"the extra {extra!r} needs")
        cure = f"python -m pip install 'repkit[{extra}]'"
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == root:
            message = f"{use} {library}: {cure}"
        else:  # installed, but beside a library that it does not fit
            message = (
                f"{use} {library}, which is installed but cannot be imported ({error}): {cure}"
            )
        raise ImportError(message, name=name) from error
