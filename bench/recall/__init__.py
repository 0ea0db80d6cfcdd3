"""How much of the true answer a search finds, for each kind of query, on made-up vectors of two shapes."""
