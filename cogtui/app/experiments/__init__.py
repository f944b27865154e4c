"""Mode 1: experiments and the live matrix of one of them. The app opens `screen.ExperimentsScreen`."""
