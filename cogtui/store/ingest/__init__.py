"""Ingest: reading stage files into the index.

`writer.IndexWriter` runs rounds of ingest under the lease, `follower.Follower` does so in a process of its own,
`rebuild.rebuild` builds a new index file. Only `store` and the command `reindex` import this package.
"""
