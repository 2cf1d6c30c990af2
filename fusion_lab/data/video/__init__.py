"""Videos, and the frames of animated files."""
