"""Requests to language models, live or in batches: resumable, and no answer is paid for twice.

Judges, teachers and corpus stages describe their requests as dialogues (`requests`) and call
`run_dialogues.run_dialogues` with a `config.ModelServiceConfig`. Vendors' SDKs are imported at the first request.
"""
