"""Batch normalization as a regulariser (C5)."""
