"""A language model as the teacher: its prompts, and `teacher.ModelTeacher`."""
