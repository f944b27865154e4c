"""Stage folders and their stream files, read without a database."""
