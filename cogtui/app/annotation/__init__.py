"""Annotation: marking spans in a trace by keyboard.

`draft` holds the annotation and its edits, `boundaries` the movements of a span's ends, `annotation_writer` saving. The
app opens `screen.AnnotateScreen`; nothing else is imported from outside.
"""
