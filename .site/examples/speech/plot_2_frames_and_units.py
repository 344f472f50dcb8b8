"""Vectors of frames, and units
============================

A vector for a whole recording says nothing of the order of sounds. With ``pooling="frames"`` the
encoder gives a vector for every few frames, and with ``transform_units`` the number of a cluster:
an alphabet that was found without a transcript.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit import SpeechAutoencoder
from repkit.datasets import make_sentences, make_speech
from repkit.speech import Prototypes, SpeechEncoder, merge_repeats, unit_counts

words = make_speech(n_speakers=4, n_words=6, n_takes=6, random_state=0)
speech = make_sentences(words.data, words.word, words.speaker, n_words=3, sample_rate=8000)
model = SpeechAutoencoder(
    sample_rate=8000,
    encoder=SpeechEncoder(pooling="frames", stack=4),
    prototypes=Prototypes((20,), frame_size=16),
    adversary=None,
    max_epochs=5,
    steps_per_epoch=15,
    random_state=0,
)
model.fit(speech.data, speech.speaker)
(vectors,), (times,) = model.transform_frames(speech.data[:1], return_times=True)
print(vectors.shape, f"one vector every {np.diff(times).mean() * 1000:.0f} ms")

# %%
# The units of one utterance of three words. Repeats are merged to runs, which is the form that a
# language model of units takes.

(units,) = model.transform_units(speech.data[:1])
runs, steps = merge_repeats(units)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.5), sharex=True, layout="constrained")
top.plot(np.arange(len(speech.data[0])) / 8000, speech.data[0], lw=0.4, color="0.4")
bottom.scatter(times, units, s=10)
bottom.set(xlabel="seconds", ylabel="unit", title=f"{len(units)} steps, {len(runs)} runs")
for row in np.flatnonzero(speech.recording == 0):
    for ax in (top, bottom):
        ax.axvspan(speech.start[row], speech.end[row], color="C1", alpha=0.12)
top.set_title("shaded: the words")

# %%
# How often each pair of units follows another one.

sequences = [merge_repeats(u)[0] for u in model.transform_units(speech.data)]
for pair, count in unit_counts(sequences).most_common(5):
    print(pair, count)

# %%
# Long files are read piece by piece with ``iter_frames``, whatever their length.
