"""Which learning rate is best for each network, chosen on images and seeds that decide nothing else."""
