"""Which decay for a training of one's own: a calculator, and what was recorded nearest to it."""
