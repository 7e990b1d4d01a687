"""The same decays at other settings."""
