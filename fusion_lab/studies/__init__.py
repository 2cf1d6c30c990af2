"""Many trainings: which, how they are launched, and the table of what they came to."""
