"""A harness that kills writers and checks the archive afterwards; `make test-crash` runs its long form."""
