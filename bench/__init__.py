"""Side-by-side measurements; a bound that is broken is said, and is an error."""
