"""Whether changed files are a reason to reload."""

import pytest

from procqueue.core.settings.model import ReloadSettings
from procqueue.core.watching import Circumstances

AUTO = ReloadSettings(("/r",))
ALWAYS = ReloadSettings(("/r",), enabled="always")
NEVER = ReloadSettings(("/r",), enabled="never")


@pytest.mark.parametrize(
    ("circumstances", "settings", "watching"),
    [
        (Circumstances(terminal=True), AUTO, (True, "terminal")),
        (Circumstances(terminal=False), AUTO, (False, "no terminal")),
        (Circumstances(terminal=True, init=True), AUTO, (False, "process 1")),
        (Circumstances(terminal=True), NEVER, (False, "[reload] enabled")),
        (Circumstances(init=True), ALWAYS, (True, "[reload] enabled")),
        (Circumstances(reload=True, init=True), NEVER, (True, "--reload")),
        (Circumstances(reload=False, terminal=True), ALWAYS, (False, "--no-reload")),
    ],
)
def test_the_flag_goes_before_the_file_and_the_file_before_the_place(
    circumstances: Circumstances, settings: ReloadSettings, watching: tuple[bool, str]
) -> None:
    assert circumstances.watching(settings) == watching
