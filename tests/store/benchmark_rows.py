"""Rows of agents and benchmark harnesses, by their layouts."""

from typing import Any, Final

SWE: Final[dict[str, Any]] = {
    "environment": "e", "info": {"exit_status": "submitted", "submission": "diff"},
    "trajectory": [{"action": "ls", "observation": "a.py", "response": "I look.", "thought": "I look."}],
    "history": [
        {"role": "system", "content": "You fix."}, {"role": "user", "content": "Fix it."},
        {"role": "assistant", "content": "I look.\nls", "thought": "I look.", "action": "ls"},
        {"role": "user", "content": "a.py"}, {"role": "assistant", "content": "Done."},
    ],
}  # fmt: skip
MINI_SWE: Final[dict[str, Any]] = {"messages": SWE["history"], "info": SWE["info"]}
TAU: Final[dict[str, Any]] = {
    "task_id": 7, "reward": 0.0, "trial": 2, "info": {"user_cost": 1},
    "traj": [
        {"role": "user", "content": "Cancel it."},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "cancel", "arguments": "{}"}}]},
        {"role": "tool", "content": "ok"}, {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "###STOP###"},
    ],
}  # fmt: skip
OPENCOMPASS: Final[dict[str, Any]] = {
    "0": {"origin_prompt": [{"role": "HUMAN", "prompt": "6 + 7?"}], "prediction": "It is 13.", "gold": "13"},
    "1": {"origin_prompt": "7 + 7?", "prediction": ["14", "15"], "gold": "14"},
}
LIGHTEVAL: Final[dict[str, Any]] = {
    "doc": {"query": "6 + 7?", "choices": ["13"], "gold_index": [0], "id": "4", "task_name": "sums"},
    "model_response": {"text": ["It is 13."], "output_tokens": [[5, 6, 7]]}, "metric": {"extractive_match": 1.0},
}  # fmt: skip
