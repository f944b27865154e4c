"""Judging by a language model: `dialogue` asks, `answer` parses, `view` numbers the segments of a text.

From outside: `judge.LLMJudge` and `config`; document judges also use `dialogue` and `prompts`.
"""
