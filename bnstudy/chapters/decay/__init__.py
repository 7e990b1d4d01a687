"""The decay of the moving averages (C6, C7)."""
