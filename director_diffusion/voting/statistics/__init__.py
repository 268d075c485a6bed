"""Statistics of votes: shares and strengths of plain numbers.  What the numbers are is said in `standings`."""
