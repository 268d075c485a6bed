"""What grows with directors and recipes: parts of `benchmarks.growth`."""
