"""The phrases that the rules recognise, a module for each kind; only `rules.cues` imports them."""
