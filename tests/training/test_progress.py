import logging

import pytest

from headstart.training.progress import Progress


def test_the_last_step_is_said_in_the_words_of_the_task(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="headstart"), Progress(8, 2, 1, True, "tile", "tiles") as progress:
        progress.update(5)
        progress.update(8)
    assert [record.message.split(",")[0] for record in caplog.records] == ["tile 8/8"]
    assert "tiles/s" in caplog.text
