import pytest

from tests.notebooks.execution import check


@pytest.mark.usefixtures("data_root")
def test_the_notebook_runs_and_shows_what_it_keeps(tmp_path, temporary):
    check("02_train_and_ablate", tmp_path, temporary)
