"""The papers' algorithms, one page each, as systems for the engine."""
