"""Convergence: how fast, and how far (C4, C13)."""
