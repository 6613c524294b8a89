"""Side-by-side measurements; they print, and assert no time."""
