"""A language model as the teacher."""
