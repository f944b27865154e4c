"""What the app shows of one stage and can do with it: facts, log, cancel, retry."""
