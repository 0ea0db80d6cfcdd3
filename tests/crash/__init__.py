"""A harness that kills writers and looks at what they leave; `make test-crash` runs its long form."""
