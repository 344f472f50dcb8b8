"""Data sets: loaders of real ones and makers of small ones. They need neither torch nor a network.

`load_table`, `load_image_folder` and `load_speech_folder` read your own files, `gather_samples` the
items of a list, a data set or a loader; Parquet and images take the extra `data`. With
``memory_map=`` they write what is larger than memory to a file, which estimators read by the batch.
The other loaders look below the folder named by the environment variable ``REPKIT_DATA``, then in
the download cache, and then download, which takes the extra `data`, too. Every file, or its
content, is checked against a known digest.
"""

from repkit.datasets._fetch import DataCorruptedError, DataNotFoundError
from repkit.datasets.amazon import AMAZON_DOMAINS, load_amazon_reviews
from repkit.datasets.arabic import load_arabic_commands
from repkit.datasets.digits import load_mnist, load_mnist_m, load_usps, make_mnist_m
from repkit.datasets.domains import load_digits_domains, make_domains
from repkit.datasets.gas import GAS_BATCHES, load_gas_drift
from repkit.datasets.gathering import gather_samples
from repkit.datasets.image_folders import load_image_folder
from repkit.datasets.meters import METER_KINDS, load_meter_digits
from repkit.datasets.office import OFFICE_DOMAINS, load_office_caltech
from repkit.datasets.pacs import PACS_DOMAINS, load_pacs_deep
from repkit.datasets.sentences import make_sentences
from repkit.datasets.speech import load_fsdd, load_speech_folder
from repkit.datasets.sprites import Sprites, make_sprites
from repkit.datasets.synthetic_speech import make_speech
from repkit.datasets.table_files import load_table

__all__ = [
    "AMAZON_DOMAINS",
    "GAS_BATCHES",
    "METER_KINDS",
    "OFFICE_DOMAINS",
    "PACS_DOMAINS",
    "DataCorruptedError",
    "DataNotFoundError",
    "Sprites",
    "gather_samples",
    "load_amazon_reviews",
    "load_arabic_commands",
    "load_digits_domains",
    "load_fsdd",
    "load_gas_drift",
    "load_image_folder",
    "load_meter_digits",
    "load_mnist",
    "load_mnist_m",
    "load_office_caltech",
    "load_pacs_deep",
    "load_speech_folder",
    "load_table",
    "load_usps",
    "make_domains",
    "make_mnist_m",
    "make_sentences",
    "make_speech",
    "make_sprites",
]
