"""Steps that tell, one line each, what was seen to hold; the first that does not is told with its evidence. Knows nothing of
what is tested."""

import time
import traceback


class Steps:
    """Counts, times and tells."""

    def __init__(self, title: str):
        self.title, self.done, self.failed = title, 0, []
        print(f"# {title}", flush=True)

    def __call__(self, name: str, step, *arguments):
        """Runs a step; what it returns is told beside its name. After a failure the others still run: each tells its own.
        Returns whether it held."""
        begun = time.monotonic()
        try:
            words = step(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.failed.append(name)
            where = traceback.extract_tb(error.__traceback__)[1:2]
            line = f" ({where[0].filename.rsplit('/', 1)[-1]}:{where[0].lineno})" if where else ""
            print(f"not ok - {self.title}: {name}{line}", flush=True)
            for line in f"{type(error).__name__}: {error}".splitlines()[-60:]:
                print(f"#   {line}", flush=True)
            return False
        self.done += 1
        told = f" [{words}]" if words else ""
        print(f"ok - {self.title}: {name}{told} ({time.monotonic() - begun:.1f} s)", flush=True)
        return True

    def end(self) -> bool:
        """Whether all held."""
        print(f"# {self.title}: {self.done} held, {len(self.failed)} did not", flush=True)
        return not self.failed
