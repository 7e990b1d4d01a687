"""Exploding gradients (C1)."""
