"""Stands where TensorFlow 1 had it, for the article's import."""
