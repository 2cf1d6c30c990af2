"""One training: its configuration, its folder, what it comes to, and how it goes on."""
