"""Internal covariate shift and the distribution of what a layer gives (C1, C2, C3)."""
