"""Mode 3: browsing rollouts. `list` opens `reader`, both open `compare`; the app opens their screens."""
