"""Statistics: intervals and tests of plain numbers.  What the numbers are is said elsewhere."""
