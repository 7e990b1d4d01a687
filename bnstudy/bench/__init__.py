"""What things cost, as ratios of two things timed in turn in one process: ``bnstudy bench``."""
