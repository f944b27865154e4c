"""`cogtui ls`, `show`, `logs`, `cancel` and `doctor`, a module each. Nothing in here is imported from outside."""
