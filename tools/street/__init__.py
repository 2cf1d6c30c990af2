"""What a simulated street is made of, and the two cameras that look along it; nothing in it is measured."""
