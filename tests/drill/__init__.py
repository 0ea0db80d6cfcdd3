"""A drill: all functions of a service at the same time, while parts of it fail; `make drill` runs its long form."""
