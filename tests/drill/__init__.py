"""A drill: everything that a service does at once, while things break; `make drill` runs its long form."""
