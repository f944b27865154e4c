"""How well judges agree with gold labels and with each other."""
