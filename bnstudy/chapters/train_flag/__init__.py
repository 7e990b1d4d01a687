"""The flag is_training at test time (C10)."""
