"""What a run is, and where its record lives. Nothing here imports torch."""
