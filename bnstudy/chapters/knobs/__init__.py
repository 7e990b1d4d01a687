"""Epsilon, scale, reuse, and the other knobs (C8, C9, C12)."""
