"""Internal. Where each data set comes from: files that may hold it, checksums, addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One form in which a piece of data may come.

    Parameters
    ----------
    path : str
        Place of the file below the data folder or the cache, with forward slashes.
    sums : tuple of str
        Accepted checksums, ``"sha256:..."`` or ``"md5:..."``; the first is that of `url`. Empty
        where none is known for the published file: what is parsed from it is checked (`CONTENT`).
    url : str or None
        Public address, pinned to one version where the host allows it.
    """

    path: str
    sums: tuple[str, ...] = ()
    url: str | None = None


_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
_GITHUB = "https://raw.githubusercontent.com"
_GRAAL = (
    f"{_GITHUB}/GRAAL-Research/domain_adversarial_neural_network"
    "/74eec5e0ae06bd6614bce048abba492c16a633e3/data"
)
_GFK = (
    f"{_GITHUB}/viggin/domain-adaptation-toolbox"
    "/2a991816a0ac39043b526c2b0cbe01bc844d8890/ToRelease_GFK/data"
)


# One file of the Amazon reviews: sha256 of its .npz form, sha256 of its content.
_AMAZON = {
    "books_train": (
        "51cd85369b0e08353d01fc5da1c8a02073c51b5a7306120700333d16f6ad31cd",
        "d8300f0ed5f18d4057e58d4410845331319107bd860da71ae313007591ddbfc6",
    ),
    "books_test": (
        "f361184b47c294a51eb5f854fd6377857c7b14bd94ec3c410934cae03ad68102",
        "33305905c7c990357e466e30b43b313357631e9b1d8f367f11fe48487e7df19e",
    ),
    "dvd_train": (
        "9f1b34b4716c41143d48ed18dacda5b3c31f33c80c43eb69918194343a2e503a",
        "f5bf9ae4c7cc9bbb4e1600e823830a39a2232c69b36957e6d93b50ca7a4d823a",
    ),
    "dvd_test": (
        "5ac3730e8d81e9fba67ce74fbd8189c9ae1833dea48bcb4090bcd32af141f490",
        "a218e5e203d5c809d1d662759e5b23f7307cc0be2edb44863ea0f17d00e257b4",
    ),
    "electronics_train": (
        "afa749874172d30efa776c246f00aa0fe74c9cdf868ea6a9f28472eef42fa553",
        "48f2912df98320f9e84621c51ea43c2c746d23622520ba1efa2340ead6c8b161",
    ),
    "electronics_test": (
        "9b74a94d6055ee0339f6f34172cd5f49c24ff1ff73d482b526b0ad1924b1ccda",
        "8db27d11c2b30edbc45cf347eae13fb2907c2a445406b217839128da961ce39b",
    ),
    "kitchen_train": (
        "e95676be873d646136c7197e1200810864d1317828250c655fa646c0e602bd88",
        "23f9808d7ce611332476a5cde2e2934611993bbc65561e838eb689cd077f7fa7",
    ),
    "kitchen_test": (
        "9b884dc85bd7328bbedd46efa7629213fbbf4af6907656faa2845d790fbdb8f8",
        "baa7455a9b34aa7081bcef7dd3c78316bffa5d47c724df9a15a545357983618e",
    ),
}

# One domain of Office-Caltech: the published file, sha256 of its content.
_OFFICE = {
    "amazon": (
        "amazon_SURF_L10.mat",
        "c34c28e0205fa46c8a907306d3e4029996e0f7335f741aae67d9cc3e96d1f7f3",
    ),
    "caltech": (
        "Caltech10_SURF_L10.mat",
        "30330087930349a5cdff60d63ace81563a005dabf8f1a3cbd99e7db1bab83a87",
    ),
    "dslr": (
        "dslr_SURF_L10.mat",
        "6e893b916bd73135982c95a558d9a861b6ebecfc68e521117c2913eef200a1a1",
    ),
    "webcam": (
        "webcam_SURF_L10.mat",
        "b6db8d3d06acf34ec228c8ef9ef9f7d24a6bf3b96b76a40e271b65bc79607057",
    ),
}


def _usps(file: str, md5: str) -> tuple[Source, ...]:
    packed = "sha256:1b8f8b22a57d055a568e7eaade9121278f2654dcf98440c60761e5cda41dbc42"
    return (
        Source("usps/usps.npz", (packed,)),
        Source(f"usps/{file}", (f"md5:{md5}",), f"{_LIBSVM}/{file}"),
    )


def _mnist_m(part: str, sha256: str) -> tuple[Source, ...]:
    return (Source(f"mnist_m/mnist_m_{part}.npz", (f"sha256:{sha256}",)),)


def _amazon(part: str, sha256: str) -> tuple[Source, ...]:
    return (
        Source(f"amazon_reviews/{part}.npz", (f"sha256:{sha256}",)),
        Source(f"amazon_reviews/{part}.svmlight", (), f"{_GRAAL}/{part}.svmlight"),
    )


def _office(file: str) -> tuple[Source, ...]:
    packed = "sha256:3e0faaa87f5badaa217f0acf62f4c999352b9e40627e01ca938ae577e92222eb"
    return (
        Source("office_caltech_surf/office_caltech_surf.npz", (packed,)),
        Source(f"office_caltech_surf/{file}", (), f"{_GFK}/{file}"),
    )


def _packed(name: str, sha256: str) -> tuple[Source, ...]:
    return (Source(f"{name}/{name}.npz", (f"sha256:{sha256}",)),)


# Made from published pictures, tables and recordings; published nowhere in this form.
_PACKED = {
    "arabic_commands": "c9148943fff87692e2d76d8f920db4f9ee5b79b445a29020d5643b49fe64e76d",
    "gas_drift": "76f3ff1b61ada18f12b21ca727465e10c1dec6d55796b80cb5a8e7fa2046c2eb",
    "meter_digits": "375af0bb7cff5328955ac27e9e93596196ab99a94f1fcc41087b67c6eaa2fb4f",
    "pacs_deep": "36c0b9a289b3a559dc4c903bf4b29418871481c010d7616637e8135634b79531",
}

_FSDD = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive"
    "/26eb9aaf76e81b692f806f9140c2d2777410d7a1.zip"
)

SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (
        Source(
            "mnist/mnist.npz",
            (
                "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
                "sha256:06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64",
            ),
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        ),
    ),
    "usps/train": _usps("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
    "usps/test": _usps("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
    "mnist_m/train_0": _mnist_m(
        "train_0", "0d6bcda32d1029f6fd153d1b2579d47e48979ec916f79431f821f1e5d4d928d5"
    ),
    "mnist_m/train_1": _mnist_m(
        "train_1", "66e0e9a59a89759185fc1bfe00e8f1bb0c741fb983fe12fd19635db0aa4e4deb"
    ),
    "mnist_m/test": _mnist_m(
        "test", "609c42d5ea53c9389f5a2a79fe0f4f64f5b8bd3d5f313dbd884fe1947c368703"
    ),
    "mnist_m/published_part": _mnist_m(
        "published_part", "749906895b7353eee970653979206f105975338c402852ef7bbc1b6188b6a6bf"
    ),
    "amazon_reviews/labels": (
        Source(
            "amazon_reviews/labels.npz",
            ("sha256:2cb34e31c6195065bb1e4fa5d7e0c25f0576f926537d4f254fe03044fccd070c",),
        ),
    ),
    **{f"amazon_reviews/{part}": _amazon(part, packed) for part, (packed, _) in _AMAZON.items()},
    **{f"office_caltech/{domain}": _office(file) for domain, (file, _) in _OFFICE.items()},
    "fsdd": (
        Source(
            "fsdd/fsdd.npz",
            ("sha256:5994afbf8aaade8e50fd425e3acb8bd5ed375acfa760fb17e7294f75a94103de",),
        ),
        # An archive made on demand: its content is checked, not its bytes.
        Source("fsdd/free-spoken-digit-dataset.zip", (), _FSDD),
    ),
    **{name: _packed(name, sha256) for name, sha256 in _PACKED.items()},
}

# What a user can do about data that nobody publishes.
NOTES: dict[str, str] = {
    "mnist_m": (
        "MNIST-M (digits of MNIST on crops of color photographs, here rebuilt) is published at "
        "no stable address. Arrays of the same kind, to be used in its place, can be made from "
        "MNIST and the BSDS500 photographs with repkit.datasets.make_mnist_m."
    ),
    "arabic_commands": (
        "It holds two takes of each word of Arabic Speech Commands (Ghandoura et al. 2021), cut "
        "from github.com/abdulkaderghandoura/arabic-speech-commands-dataset."
    ),
    "gas_drift": (
        "It holds eight batches of the UCI data set 270, gas sensor array drift at different "
        "concentrations."
    ),
    "meter_digits": (
        "It holds digits of 32 x 32 pixels, cut from github.com/haverland/Tenth-of-step-of-a-meter-"
        "digit."
    ),
    "pacs_deep": (
        "It holds features of the pictures of PACS (Li et al. 2017) by a frozen EfficientNet-Lite2."
    ),
    "amazon_reviews": "This file goes with the .npz form of the Amazon reviews.",
}

# sha256 of the parsed arrays (`_fetch.digest`), the same whichever file they were read from.
CONTENT: dict[str, str] = {
    **{f"amazon_reviews/{part}": content for part, (_, content) in _AMAZON.items()},
    **{f"office_caltech/{domain}": content for domain, (_, content) in _OFFICE.items()},
    "fsdd": "ef76e95cad0b7bd08ce79016ed7c2c2582edcd555a0c1c3ebd8d726fee76c43e",
}
