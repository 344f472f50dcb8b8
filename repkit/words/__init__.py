"""Vectors of spoken words: what an auto-encoder finds, learned anew from pictures of the sound."""

from repkit.words.embedding import AcousticWordEmbedding
from repkit.words.pictures import as_pictures

__all__ = ["AcousticWordEmbedding", "as_pictures"]
