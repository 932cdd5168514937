"""What the pages are about: one file for each kind of page, each a function from the invented world and dice to a
body."""
