"""Batch norm in ten minutes: pictures, and answers of exercises, computed on the embedded digits."""
