"""Reports: what an experiment asked, what came out and how sure that is, as one HTML file and as Markdown.

`write.write_report` is imported from outside; `content` collects what both files show.
"""
