"""Is it who they say? Verification by speaker vectors
===================================================

`SpeakerVerifier <repkit.speech.SpeakerVerifier>` enrolls people by a few recordings and believes a
claim from a cosine on. The threshold is learned from other speakers.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit import SpeechAutoencoder
from repkit.datasets import make_speech
from repkit.speech import SpeakerVerifier

speech = make_speech(n_speakers=12, n_words=6, n_takes=5, random_state=0)
known = speech.speaker < 8  # these train; four others enroll later
rows = np.flatnonzero(known)
model = SpeechAutoencoder(
    sample_rate=8000,
    adversary=None,
    prototypes=None,
    max_epochs=6,
    steps_per_epoch=15,
    output="speaker",
    random_state=0,
)
model.fit([speech.data[k] for k in rows], speech.speaker[rows])
vectors = model.transform(speech.data)

verifier = SpeakerVerifier(n_enrolled=5).fit(vectors[known], speech.speaker[known])
new = np.flatnonzero(~known)
first = new[speech.take[new] == 0]  # six recordings of each: one of every word
verifier.enroll(vectors[first], speech.speaker[first])
later = new[speech.take[new] > 0]
cosines = verifier.decision_function(vectors[later])
truth = speech.speaker[later][:, None] == verifier.speakers_
print(f"equal error rate of the speakers of fit: {verifier.eer_:.3f}")
named = (verifier.predict(vectors[later]) == speech.speaker[later]).mean()
print(f"rightly named, of people never heard in training: {named:.2f}")

# %%
# Cosines of true and false claims of four people whom the encoder has never heard.

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
bins = np.linspace(cosines.min(), 1, 40)
ax.hist(cosines[truth], bins, alpha=0.7, density=True, label="true claims")
ax.hist(cosines[~truth], bins, alpha=0.7, density=True, label="false claims")
ax.axvline(verifier.threshold_, color="k", ls="--", label="threshold, from the others")
ax.set(xlabel="cosine", ylabel="density")
ax.legend()
