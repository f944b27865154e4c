"""The symbolic teacher: search, its wording in two styles, and base text for pretraining.

Others import `teacher.SymbolicTeacher`, `base_texts.PretrainingSource` and the phrases in `lexicon`.
"""
