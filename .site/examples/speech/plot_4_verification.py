"""Is it who they say? Verification of voices
==========================================

`SpeakerVerifier <repkit.speech.SpeakerVerifier>` enrolls people by a few recordings and believes a
claim from a score on. What it knows of voices, and the threshold, it learns from other people.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit.audio import FrontEnd, as_utterances, extract, voice_statistics
from repkit.datasets import make_speech
from repkit.speech import IVectorExtractor, SpeakerVerifier

speech = make_speech(n_speakers=24, n_words=6, n_takes=5, token_noise=2.0, random_state=0)
known = speech.speaker < 16  # from these it learns; eight others enroll later
utterances = as_utterances(speech.data, sample_rate=8000)

# %%
# Two kinds of vectors of a voice, both without a network: statistics of its bands and its pitch,
# and i-vectors, which compare each sound with its like. Neither is told who speaks, or what.

statistics = voice_statistics(utterances, FrontEnd(sample_rate=8000)).vectors
frames = extract(utterances, FrontEnd("mfcc", sample_rate=8000, deltas=True)).frames
extractor = IVectorExtractor(32, n_factors=20, random_state=0)
extractor.fit([frames[k] for k in np.flatnonzero(known)])
vectors = np.hstack([statistics, extractor.transform(frames)])
blocks = (statistics.shape[1], extractor.n_factors)

# %%
# ``eer_`` is the share of wrong decisions at the threshold, of people of whom nothing was learned:
# what PLDA learns of the sixteen is judged by some of them in turn, who are left out.

for scoring in ("cosine", "plda"):
    verifier = SpeakerVerifier(n_enrolled=5, scoring=scoring, blocks=blocks)
    verifier.fit(vectors[known], speech.speaker[known])
    others = 1 - verifier.score(vectors[~known], speech.speaker[~known])
    print(f"{scoring}: {verifier.eer_:.3f}; of the eight others {others:.3f}")

# %%
# Scores of true and false claims of people of whom nothing was learned.

new = np.flatnonzero(~known)
first = new[speech.take[new] == 0]  # six recordings of each: one of every word
verifier.enroll(vectors[first], speech.speaker[first])
later = new[speech.take[new] > 0]
scores = verifier.decision_function(vectors[later])
truth = speech.speaker[later][:, None] == verifier.speakers_
accepted = scores >= verifier.threshold_
print(
    f"true claims believed: {accepted[truth].mean():.2f}, false ones: {accepted[~truth].mean():.2f}"
)

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
bins = np.linspace(np.percentile(scores, 1), scores.max(), 40)
ax.hist(scores[truth], bins, alpha=0.7, density=True, label="true claims")
ax.hist(scores[~truth], bins, alpha=0.7, density=True, label="false claims")
ax.axvline(verifier.threshold_, color="k", ls="--", label="threshold, from the others")
ax.set(xlabel="logarithm of the likelihood ratio", ylabel="density")
ax.legend()
