"""The truth of the verdict: adapters with known faults, and what the verdict says of them."""
