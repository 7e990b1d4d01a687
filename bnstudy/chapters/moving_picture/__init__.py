"""One channel of batch norm over a training: what comes in, what goes out, and the averages that follow."""
