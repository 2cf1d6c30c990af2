import pytest

from tests.notebooks.execution import check


@pytest.mark.usefixtures("data_root")
def test_the_notebook_runs_and_shows_what_it_keeps(tmp_path, temporary):
    check("04_joint_data_and_phases", tmp_path, temporary)
