"""Everything that depends on how Textual works inside.

No other package of the app uses private names of Textual; tests/app/test_textual_contract.py keeps that and says what
breaks when Textual changes. The rest of the app imports `DeferredPaintScreen`, `LineScrollView`, `StyledWidget` and
`line_filter`.
"""
