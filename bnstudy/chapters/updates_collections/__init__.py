"""When the moving averages are updated (C11)."""
