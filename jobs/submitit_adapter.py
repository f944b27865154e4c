"""The only module that touches submitit: its private parts, its environment variables, its exceptions.

submitit gives the sbatch text, the pickle, and the code that runs the pickle on the node, which `run_pickle` calls. Its
own controller, states and result files are not used (docs/jobs.md). The code below depends on private members of
version 1.5, so pyproject.toml pins that minor version; `tests/contracts/test_submitit.py` names each member and what
breaks without it.

submitit is imported inside the functions: importing it takes 0.3 s, and no command but a submission needs it.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from jobs.private_folder import is_written_by_others
from pipelines.files import open_regular

LOCAL_JOB_ID: Final = "local"
"""Job id in the names of submitit's files; each attempt has its own folder, so it need not be unique."""
_DEFAULT_MINUTES: Final = 5
"""Time limit that submitit assumes where none is given."""
_SCRIPT: Final = "sbatch.sh"
_PERCENT: Final = "\ue000"
"""Stands for a `%` of the folder's name while submitit fills in patterns of file names; Slurm reads `%%` as `%`."""
_NO_LIMIT: Final = 1_000_000
"""Time-outs after which submitit gives a job up. It counts every preemption of a short job as one."""


class SubmissionUnreadable(Exception):
    """sbatch printed no job id."""


def local_command(folder: Path) -> list[str]:
    """Return the command that runs the pickle of a local job."""
    return [sys.executable, "-P", "-u", "-m", __name__, str(folder)]


def _patch_submitit() -> None:
    """Have submitit take the names of folders literally, and its pickles from this user only."""
    _take_folders_literally()
    _protect_pickles()


def _protect_pickles() -> None:
    """Have pickles written for this user alone, and load none that another user may have written.

    Loading a pickle runs whatever its author wrote into it.
    """
    from submitit.core.utils import DelayedSubmission

    load, dump = DelayedSubmission.load, DelayedSubmission.dump
    if getattr(dump, "of_cogtui", False):
        return

    def load_own(filepath: Path | str) -> Any:
        # the file that was checked is the one that is loaded, whatever its name means by then
        with open_regular(Path(filepath)) as stream:
            if is_written_by_others(stream.fileno(), Path(filepath).parent):
                sys.exit(
                    f"other users may write to the pickle of this job, which would run as you: it was not started; "
                    f"remove their permission to write to {filepath} and its folder"
                )
            return load(f"/proc/self/fd/{stream.fileno()}")

    def dump_privately(self: Any, filepath: Path | str) -> None:
        os.close(os.open(filepath, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        dump(self, filepath)

    dump_privately.of_cogtui = True  # type: ignore[attr-defined]
    DelayedSubmission.load = staticmethod(load_own)
    DelayedSubmission.dump = dump_privately


def _take_folders_literally() -> None:
    """Have submitit fill `%j` and the like into file names only: a folder may be named `100%j`."""
    from submitit.core.utils import JobPaths

    fill_in = JobPaths._format_id
    if getattr(fill_in, "of_cogtui", False):
        return

    def fill_in_name(self: Any, path: Path | str) -> Path:
        return Path(path).parent / str(fill_in(self, Path(path).name))

    fill_in_name.of_cogtui = True  # type: ignore[attr-defined]
    JobPaths._format_id = fill_in_name
    JobPaths.folder = property(lambda self: self._folder)
    JobPaths.get_first_id_independent_folder = staticmethod(lambda folder: Path(folder).expanduser().absolute())


def local_environment() -> dict[str, str]:
    """Return the variables by which the program of `local_command` finds its pickle."""
    return {
        "SUBMITIT_EXECUTOR": "local",
        "SUBMITIT_LOCAL_JOB_ID": LOCAL_JOB_ID,
        "SUBMITIT_LOCAL_NTASKS": "1",
        "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
        "SUBMITIT_LOCAL_NODEID": "0",
        "SUBMITIT_LOCAL_GLOBALID": "0",
        "SUBMITIT_LOCAL_LOCALID": "0",
    }


def without_submitit_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for the child of a worker: without submitit's own variables."""
    return {name: value for name, value in environment.items() if not name.startswith("SUBMITIT_")}


def submit_local(
    folder: Path, function: Callable[[], Any], start: Callable[[], "subprocess.Popen[bytes]"]
) -> "subprocess.Popen[bytes]":
    """Pickle a function into a folder and start its process, without submitit's controller.

    The controller polls 24 times a second, drops exit codes, and dies with the terminal that started it.

    Args:
        folder: for submitit's files.
        function: picklable, called by the process.
        start: starts `local_command` in a session of its own and returns its process.

    Raises:
        OSError: the process cannot be started, or the disk is full; no process is left then, so that a second try is
            safe.
    """
    from submitit.local.local import LocalExecutor, LocalJob

    _patch_submitit()
    started: list[subprocess.Popen[bytes]] = []

    class Executor(LocalExecutor):  # type: ignore[misc]  # submitit's types are not followed
        def _submit_command(self, command: str) -> Any:
            started.append(start())
            return LocalJob(folder=folder, job_id=LOCAL_JOB_ID, process=started[0], tasks=[0])

    executor = Executor(folder)
    executor._throttling = 0.0
    try:
        executor.submit(function)
    except BaseException:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
    return started[0]


@cache
def _slurm_executor_class() -> Any:
    from submitit.slurm.slurm import SlurmExecutor, SlurmJob

    class Executor(SlurmExecutor):  # type: ignore[misc]  # submitit's types are not followed
        """submitit's executor without printing, without a default time limit and without an accounting key."""

        as_array = False
        """Whether even a single task is one of an array."""
        run_sbatch: Callable[[Path], str]
        """Runs sbatch on a script and returns its output."""

        @classmethod
        def affinity(cls) -> int:
            return 2  # a preview is made on machines without Slurm too

        def _make_submission_file_text(self, command: str, uid: str) -> str:
            folder = Path(self.folder)
            self.folder: Path = Path(str(folder).replace("%", _PERCENT))
            text: str = super()._make_submission_file_text(command, uid).replace(_PERCENT, "%%")
            self.folder = folder
            invented = ["#SBATCH --wckey=submitit"]
            if "time" not in self.parameters:
                invented.append(f"#SBATCH --time={_DEFAULT_MINUTES}")
            return "\n".join(line for line in text.split("\n") if line not in invented)

        @property
        def _submitit_command_str(self) -> str:
            return f"{self.python} -P -u -m {__name__} {shlex.quote(str(self.folder))}"

        def _internal_process_submissions(self, delayed: list[Any]) -> list[Any]:
            if not self.as_array:
                return list(super()._internal_process_submissions(delayed))
            # submitit's own would make its array with a plain executor of its own
            pickles = []
            for number, submission in enumerate(delayed):
                pickles.append(Path(self.folder) / f"{number}.pkl")
                submission.set_timeout(self.parameters.get("time", _DEFAULT_MINUTES), self.max_num_timeout)
                submission.dump(pickles[-1])
            self.parameters["map_count"] = len(delayed)
            first = self._submit_command(self._submitit_command_str)
            jobs = [SlurmJob(self.folder, f"{first.job_id}_{number}", [0]) for number in range(len(delayed))]
            for job, pickle in zip(jobs, pickles, strict=True):
                job.paths.move_temporary_file(pickle, "submitted_pickle")
            return jobs

        def _submit_command(self, command: str) -> Any:
            script = Path(self.folder) / _SCRIPT
            # a path that is not UTF-8 is passed on byte by byte
            script.write_bytes(self._make_submission_file_text(command, "").encode("utf-8", "surrogateescape"))
            job_id = self._get_job_id_from_submission_command(self.run_sbatch(script))
            return SlurmJob(folder=self.folder, job_id=job_id, tasks=list(range(self._num_tasks())))

    return Executor


def _slurm_executor(folder: Path, parameters: Mapping[str, Any]) -> Any:
    _patch_submitit()
    executor = _slurm_executor_class()(folder, max_num_timeout=_NO_LIMIT, python=shlex.quote(sys.executable))
    executor._throttling = 0.0
    executor.update_parameters(**parameters)
    return executor


def slurm_script(folder: Path, parameters: Mapping[str, Any], *, tasks: int = 0) -> str:
    """Return the sbatch script of a job, or of an array of `tasks` tasks."""
    executor = _slurm_executor(folder, parameters)
    if tasks:
        executor.parameters["map_count"] = tasks
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def submit_slurm(
    folder: Path,
    parameters: Mapping[str, Any],
    functions: Sequence[Callable[[], Any]],
    run_sbatch: Callable[[Path], str],
    *,
    array: bool = False,
) -> str:
    """Pickle functions into a folder, write the script and submit it; return Slurm's job id.

    Args:
        folder: for the script and submitit's files.
        parameters: of submitit's Slurm executor.
        functions: picklable; one, or one for each task of the array.
        run_sbatch: runs sbatch on a script and returns its output.
        array: make it an array, even of one task.

    Raises:
        SubmissionUnreadable: the output contains no job id.
        OSError: the folder cannot be written.
    """
    from submitit.core.utils import FailedSubmissionError

    executor = _slurm_executor(folder, parameters)
    executor.as_array = array
    executor.run_sbatch = run_sbatch
    try:
        jobs = executor.submit_array(functions)
    except FailedSubmissionError as error:
        raise SubmissionUnreadable(str(error).splitlines()[0]) from error
    return str(jobs[0].job_id).partition("_")[0]


def uncompleted_job_error() -> type[Exception]:
    """Return the exception that submitit raises in its signal handler when `checkpoint` returned None."""
    from submitit.core.utils import UncompletedJobError

    error: type[Exception] = UncompletedJobError
    return error


def resubmission(function: Callable[[], Any]) -> Any:
    """Return what `checkpoint` returns to have `function` run next in the same job."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(function)


def first_node(node_list: str) -> str:
    """Return the first host of a SLURM_JOB_NODELIST such as `node[07-08],gpu1`."""
    from submitit.slurm.slurm import _parse_node_list

    return str(_parse_node_list(node_list)[0])


def run_pickle() -> None:
    """Run the pickle of a job like `python -m submitit.core._submit`, unless other users may have written it."""
    from submitit.core.submission import submitit_main

    _patch_submitit()
    submitit_main()


if __name__ == "__main__":
    run_pickle()
