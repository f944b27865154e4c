import os
import subprocess
import sys
from pathlib import Path


def test_the_whole_package_is_light() -> None:
    """Reading JSONL, solving, scoring and the stage itself import neither pyarrow nor numpy nor torch."""
    code = (
        "import sys\n"
        "import pipelines.tasks.countdown.stage, pipelines.tasks.countdown.problems, pipelines.tasks.countdown.task\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'pandas', 'transformers', 'datasets', 'textual', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "[]\n"
