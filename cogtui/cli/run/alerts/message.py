"""What a notification says."""

import platform
from dataclasses import dataclass
from typing import Any, Literal

AlertEvent = Literal["finished", "failed", "interrupted", "warning"]


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One notification of a run. Its texts are one line each and hold no control characters."""

    event: AlertEvent
    experiment: str
    workspace: str
    text: str
    """One sentence: what happened."""
    lines: tuple[str, ...] = ()
    """Stages that failed, and warnings."""
    done: int = 0
    stages: int = 0
    elapsed_s: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """Return the JSON body of a webhook."""
        return {
            "version": 1,
            "event": self.event,
            "experiment": self.experiment,
            "workspace": self.workspace,
            "host": platform.node(),
            "text": self.text,
            "lines": list(self.lines),
            "done": self.done,
            "stages": self.stages,
            "elapsed_s": round(self.elapsed_s, 1),
        }

    def as_environment(self) -> dict[str, str]:
        """Return the environment variables of a command."""
        return {
            "COGTUI_EVENT": self.event,
            "COGTUI_EXPERIMENT": self.experiment,
            "COGTUI_WORKSPACE": self.workspace,
            "COGTUI_TEXT": self.text,
            "COGTUI_LINES": "\n".join(self.lines),
            "COGTUI_DONE": str(self.done),
            "COGTUI_STAGES": str(self.stages),
        }
