"""Claims for the ephemeral volumes of pods."""
