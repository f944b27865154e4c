"""Reading and following logs."""
